"""Templates that cover what the interpreter of chat templates can do.

Each line of EXPRESSIONS is the inside of {{ }}; STATEMENTS are whole templates.
All see CONTEXT.
"""

CONTEXT = {
    "x": 7, "y": 3, "neg": -7, "zero": 0, "f": 2.5, "big": 9007199254740993, "t": True, "no": False,
    "nil": None, "s": "Hello World", "empty": "", "u": "naïve Ünïcödé 漢字 🙂x", "spaces": "  a b  ",
    "lines": "one\ntwo\r\n\nthree\n", "html": "<a href=\"x\">T&C's</a>", "multi": "a-b-c-d", "digits": "42",
    "l": [3, 1, 2], "names": ["bob", "Alice", "carol", "alice"], "mixed": [1, "a", None, 2.5, True, [1], {"k": "v"}],
    "nested": [[1, 2], [3, 4]], "el": [], "d": {"b": 1, "a": 2, "C": 3}, "ed": {},
    "users": [
        {"name": "Ann", "age": 31, "city": "Rome", "tags": ["x", "y"], "admin": True},
        {"name": "bob", "age": 25, "city": "rome", "tags": [], "admin": False},
        {"name": "Cy", "age": 31, "city": "Oslo", "tags": ["z"], "admin": True},
    ],
    "message": {"role": "user", "content": "Hi", "items": "shadowed", "keys": 5, "tool_calls": None},
    "tool": {
        "type": "function",
        "function": {
            "name": "get_weather", "description": "Weather — now",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "enum": ["a", "b"]}, "n": {"type": "integer", "default": 1.0}},
                "required": ["city"],
            },
        },
    },
    "tree": [{"v": 1, "c": [{"v": 2, "c": []}, {"v": 3, "c": [{"v": 4, "c": []}]}]}],
}

EXPRESSIONS = r"""
1
-1
+1
- -3
1 + 2 * 3
(1 + 2) * 3
7 // 2
-7 // 2
7 // -2
7 % 3
-7 % 3
7 % -3
7.5 // 2
-7.5 // 2
-7.5 % 2
7.5 % -2
5.0 % 5
7 / 2
6 / 2
1 / 3
1 / 0
1 // 0
1 % 0
1.0 / 0
1.0 // 0
2 ** 10
2 ** -1
2 ** 0.5
2 ** 3 ** 2
-2 ** 2
(-2) ** 2
0 ** -1
10 ** 18
2 ** 62
1.5e3
1e16
1e15
123456789012345678.0
1e-4
1e-5
0.1 + 0.2
1e300 * 1e10
-1e300 * 1e10
100000000000000000000.0
1.0
3.14
-0.0
1_000
0x1f
0o17
0b101
0xDE_AD
1_0.5_0
1.5E-3
007
00
true
True
false
none
None
true + 1
true * 3
-true
+true
+f
not x
not not x
not el
not undefined_name
x and y
x or y
zero or y
zero and y
nil or 'd'
empty or 'd'
el or 0
x == 7
x == 7.0
x == '7'
true == 1
none == false
x != 7
x > y
x >= 7
x < y < 10
1 < 2 < 3
1 < 3 < 2
3 > 2 > 1
1 < 2 == 2
1 < 'a'
'a' < 'b'
'a' < 'B'
'é' > 'z'
[1, 2] < [1, 3]
[1, 2] < [1, 2, 0]
(1, 'a') < (1, 'b')
[1] == [1]
[1] == (1,)
{'a': 1} == {'a': 1.0}
{'a': 1, 'b': 2} == {'b': 2, 'a': 1}
none < 1
{} < {}
big == 9007199254740992.0
big > 9007199254740992.0
1 in l
9 in l
9 not in l
'ell' in s
'' in s
1 in s
'a' in d
'z' not in d
[1] in d
1 in none
1 in 5
'x' in undefined_name
1.0 in l
true in [1]
(1, 2) in [(1, 2)]
'b' in d.keys()
2 in d.values()
('a', 2) in d.items()
not 'a' in d
'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1]
'a' ~ undefined_name
'a' + 'b'
'a' + 1
1 + 'a'
'a' * 3
3 * 'ab'
'a' * -1
[1] + [2]
(1,) + (2,)
[1] + (2,)
[1, 2] * 2
2 * (1,)
'a' - 'b'
[1] - [1]
{} + {}
none + 1
undefined_name + 1
1 + undefined_name
'a' + undefined_name
undefined_name * 2
undefined_name == undefined_other
undefined_name == none
undefined_name == ''
undefined_name < 1
-undefined_name
-'a'
+'a'
undefined_name
undefined_name.attribute
undefined_name['item']
undefined_name()
undefined_name[1:]
message.missing
message.missing.deeper
message['missing']['deeper']
message.missing is defined
nil.attribute
nil.attribute.deeper
x.attribute
x['a']
s.nothing
s['nothing']
l.first
l.nothing.more
l[5].more
l[5]
l[-1]
l[-4]
l[0]
l[true]
l[1.0]
l['0']
l.0
nested.1.0
nested[1][0]
d['b']
d.b
d['nope']
d[1]
d[[1]]
d[none]
{1: 'a', 1.0: 'b', true: 'c'}
{1: 'a'}[1.0]
{none: 1}[none]
{(1, 2): 'p'}[1, 2]
{(1, 2): 'p'}[(1, 2)]
{[1]: 2}
{'a': 1, 'a': 2}
{'b': 1, 'a': 2, 'b': 3}
{'a': 1,}
[1, 2, ]
[]
{}
()
(1,)
(1, 2)
1, 2
(1)
[[], {}, ()]
[1, 'a', none, true, 2.5, 1e20, undefined_name]
{'k': [1, {'n': none}], 2: (3,)}
['it\'s', "say \"hi\"", 'both \' and "', 'new\nline', 'tab\t', '\\', 'ü', '\x00\x1f\x7f', '\u200b\u00a0']
['🙂', '漢', '\u2028', '\U0001F600']
'\x41\u00e9\U0001F642\101\n|'
'\q\é'
'a' 'b' "c"
'multi
line'
message['items']
message['keys']
message.values() | list
message.role
d.items() | list
d.keys() | list
d.values() | list
d.items()
d.keys()
d.values()
d.items() | length
d.items()[0]
d.get('a')
d.get('zz')
d.get('zz', 5)
d.get()
d.get([1])
d.copy()
d.fromkeys(['q'], 1)
d.pop('a')
d.update({})
d.clear
d.clear()
d.setdefault('a', 1)
l.append(4)
l.append is defined
l.pop()
l.sort()
l.reverse()
l.insert(0, 1)
l.extend([1])
l.remove(1)
l.index(2)
l.index(9)
l.index(1, 0)
l.index(3, 1)
l.count(1)
l.copy()
(1, 2, 1).count(1)
(1, 2).index(2)
d.__class__
''.__class__.__mro__
s._private
x()
s()
s[0]
s[-1]
s[100]
s[1:4]
s[:3]
s[-3:]
s[::-1]
s[::2]
s[8:2:-2]
s[100:]
s[:-100]
s[none:none]
s[1:none:2]
s['a':]
s[::0]
u[0:5]
u[2]
u[-2]
u[::-1]
u[14:16]
u | length
l[1:]
l[::-1]
l[:-1]
l[-100:100]
l[5:]
l[2:0:-1]
(1, 2, 3)[1:]
range(10)[2:8:3]
range(10)[-1]
range(10)[3:]
nil[1:]
d[1:]
x[1:]
range(3)
range(1, 10, 2)
range(3) | list
range(3, 0, -1) | list
range(0) | list
range(5) | length
range(5, 1)
range(1, 2, 0)
range(1.5)
range('a')
range()
range(100001)
range(100000) | length
range(0, 1000000, 10) | last
range(3) == range(0, 3)
3 in range(5)
range(2, 9).start
range(5).stop
dict(a=1, b=2)
dict([('a', 1), ('b', 2)])
dict({'a': 1}, b=2)
dict([1])
dict.fromkeys([1, 2])
dict()
namespace(a=1).a
namespace({'a': 1}).a
namespace().a
namespace(a=1)['a']
namespace(_a=1)
1 if x else 2
1 if zero else 2
1 if zero
(1 if zero) is defined
'a' if nil else 'b' if zero else 'c'
x if y > 5
(1 if zero) ~ 'end'
s | upper
s | lower
u | upper
u | lower
'straße ﬁn' | upper
'ΑΣ ΑΣΑ Σ' | lower
'İstanbul' | lower
s | title
'hello-world (foo) [bar] {baz} <qux> it\'s x_y 1st' | title
s | capitalize
'éCOLE ÀB' | capitalize
'ǆx' | capitalize
42 | upper
none | upper
undefined_name | upper
spaces | trim
'xxaxx' | trim('x')
'xyaxy' | trim('yx')
'  a  ' | trim(none)
5 | trim
'\u00a0a\u2003\x1f' | trim
l | join
l | join(', ')
l | join(1)
users | join(', ', attribute='name')
users | join(attribute='age')
mixed | join('|')
undefined_name | join(',')
5 | join
'abc' | join('-')
d | join(',')
el | length
s | length
d | length
undefined_name | length
5 | length
none | length
users | count
s | replace('l', 'L')
s | replace('l', 'L', 1)
s | replace('', '-')
'' | replace('', '-')
'abc' | replace('', '-', 2)
12321 | replace(2, 'x')
s | replace('l')
s | replace(old='l', new='')
undefined_name | default('d')
undefined_name | default
nil | default('d')
nil | default('d', true)
empty | default('d', boolean=true)
zero | d(5, true)
message.missing | default('gone')
message.missing | d([])
l | first
el | first
el | first is defined
s | first
d | first
undefined_name | first
5 | first
l | last
el | last
s | last
d | last
u | last
d.items() | last
(l | map('string')) | last
5 | last
undefined_name | last
'abc' | list
'é🙂' | list
d | list
undefined_name | list
5 | list
none | list
range(2) | list
l | map('string') | list
names | map('upper') | join(',')
users | map(attribute='name') | list
users | map(attribute='nope') | list
users | map(attribute='nope', default='-') | list
users | map(attribute='tags.0') | list
users | map(attribute='tags.0', default='none') | join(',')
names | map('replace', 'a', 'A') | list
[1.567, 2.345] | map('round', 1) | list
users | map('length') | list
l | map('nofilter') | list
l | map(attribute='a', foo=1) | list
l | map(5) | list
undefined_name | map('upper') | list
none | map('upper') | list
5 | map('upper') | list
nested | map('first') | list
nested | map('join', '+') | list
users | map(attribute='name') | map('lower') | sort | join
(l | map('string')) is iterable
(l | map('string')) is sequence
(l | map('string')) | length
(l | map('string'))[0]
'yes' if el | map('string') else 'no'
l | select | list
[0, 1, '', 'a', none] | select | list
l | select('odd') | list
l | select('gt', 1) | list
l | select('divisibleby', 3) | list
l | reject('odd') | list
[0, 1, '', 'a', none] | reject | list
mixed | select('string') | list
mixed | reject('none') | list
mixed | select('mapping') | list
mixed | select('number') | list
l | select('in', [1, 2]) | list
l | select('notest') | list
users | selectattr('admin') | map(attribute='name') | list
users | rejectattr('admin') | map(attribute='name') | list
users | selectattr('age', 'equalto', 31) | map(attribute='name') | list
users | selectattr('age', '>', 30) | list | length
users | selectattr('tags.0', 'defined') | map(attribute='name') | list
users | selectattr('nope', 'undefined') | list | length
users | rejectattr('city', 'in', ['Oslo']) | map(attribute='city') | list
users | selectattr('age', 'lessthan', 'x') | list
nested | selectattr(0, 'eq', 3) | list
l | sort
l | sort(reverse=true)
l | sort(true)
names | sort
names | sort(case_sensitive=true)
users | sort(attribute='age') | map(attribute='name') | list
users | sort(attribute='age,name') | map(attribute='name') | list
users | sort(attribute='age', reverse=true) | map(attribute='name') | list
users | sort(attribute='city') | map(attribute='name') | list
nested | sort(attribute=1) | list
mixed | sort
[1, none] | sort
[none] | sort
'hello' | sort | join
d | sort
undefined_name | sort
[3, 1.5, true] | sort
names | unique | list
names | unique(case_sensitive=true) | list
users | unique(attribute='age') | map(attribute='name') | list
[1, 1.0, true, 2] | unique | list
[[1]] | unique | list
l | reverse | list
s | reverse
u | reverse
(1, 2) | reverse | list
range(3) | reverse | list
d | reverse | list
d.items() | reverse | list
5 | reverse
undefined_name | reverse | list
(l | map('string')) | reverse
(l | reverse) is iterable
l | sum
users | sum(attribute='age')
l | sum(start=10)
[[1], [2]] | sum(start=[])
names | sum
[] | sum
[0.1, 0.2, 0.3] | sum
undefined_name | sum
l | min
l | max
names | min
names | max
names | max(case_sensitive=true)
users | min(attribute='age')
users | max(attribute='name') | attr('nope')
el | min
el | min is defined
[1, 'a'] | max
'hello' | max
[2, 2.0] | max
undefined_name | max
d | dictsort
d | dictsort(true)
d | dictsort(false, 'value')
d | dictsort(by='value', reverse=true)
d | dictsort(by='other')
undefined_name | dictsort
l | dictsort
d | items | list
undefined_name | items | list
l | items | list
d | tojson
l | tojson
mixed | tojson
tool | tojson
tool | tojson(indent=2)
tool | tojson(indent=4)
tool | tojson(indent=0)
[1, [2, {}], []] | tojson(indent=1)
[1, {'a': []}] | tojson(indent='--')
{'b': 1, 'a': [1, 2]} | tojson(sort_keys=true)
{'b': 1, 'a': {'d': 1, 'c': 2}} | tojson(indent=2, sort_keys=true)
{'a': 1, 'b': [1, 2]} | tojson(separators=(',', ':'))
{'a': 1} | tojson(indent=2, separators=[', ', ' = '])
u | tojson
u | tojson(ensure_ascii=true)
u | tojson(true)
html | tojson
'\x00\x1f\x7f"\\/\b\f\n\r\t\u2028' | tojson
'\x7f' | tojson(ensure_ascii=true)
[1.0, 0.1, 1e20, 1e-7, -0.0, 123456.789] | tojson
1e400 | tojson
(1e300 * 1e10) | tojson
{1: 'a', 2.5: 'b', true: 'c', none: 'd'} | tojson
{(1, 2): 3} | tojson
(1, (2,)) | tojson
{1: 2, 'a': 3} | tojson(sort_keys=true)
undefined_name | tojson
range(3) | tojson
d.items() | tojson
none | tojson
true | tojson
5 | tojson
'' | tojson
[] | tojson(indent=2)
{} | tojson(indent=2)
d | tojson(indent=none)
d | tojson(nope=1)
d | tojson | length
1 | string
none | string
1.5 | string | length
l | string
undefined_name | string | length
'42' | int
'42.7' | int
'abc' | int
'abc' | int(-1)
'abc' | int(default=5)
'0x1f' | int(0, 16)
'1f' | int(base=16)
'0x1f' | int(base=0)
'0b11' | int(base=2)
'0o17' | int(base=8)
'  12  ' | int
'1_000' | int
'1__0' | int
'-5' | int
'+5' | int
'' | int
none | int
none | int(3)
true | int
3.99 | int
-3.99 | int
l | int
(1e300 * 1e10) | int
'1e3' | int
'inf' | int
'nan' | int
undefined_name | int
'010' | int
'010' | int(base=0)
'3.14' | float
'abc' | float
'abc' | float(1.5)
'1e5' | float
' 2.5 ' | float
'1_0.5' | float
'inf' | float
'-Infinity' | float
'nan' | float
'infin' | float
'0x10' | float
5 | float
true | float
none | float
none | float(default=2)
'.5' | float
'5.' | float
'.' | float
'+-5' | float
2.5 | round
3.5 | round
2.567 | round(2)
2.675 | round(2)
1234.5 | round(-2)
1250 | round(-2)
1350 | round(-2)
-1250 | round(-2)
5 | round
true | round
2.1 | round(0, 'ceil')
2.9 | round(method='floor')
2.15 | round(1, 'ceil')
2.1 | round(method='other')
42 | round(0, 'floor')
'a' | round
undefined_name | round
1.005 | round(2)
2.5 | round | int
-2.5 | round
0.5 | round
1e22 | round(2)
-5 | abs
-5.5 | abs
true | abs
'a' | abs
undefined_name | abs
html | escape
html | e
html | safe
html | e | e
html | forceescape
(html | safe) | e
('<b>' | safe) + '<i>'
'<i>' + ('<b>' | safe)
('<b>' | safe) ~ '<i>'
['<b>' | safe]
('<' | e) is escaped
'<' is escaped
5 | e
'a\nb\n\nc' | indent
'a\nb\n\nc' | indent(2)
'a\nb\n\nc' | indent(2, true)
'a\nb\n\nc' | indent(2, blank=true)
'a\nb' | indent('> ')
'a\nb' | indent('> ', first=true)
'a\nb\n' | indent(1)
'' | indent
lines | indent(1)
5 | indent
undefined_name | indent
s | wordcount
'one, two-three it\'s' | wordcount
'' | wordcount
u | wordcount
range(7) | batch(3) | list
range(7) | batch(3, 'x') | list
range(6) | batch(3, 'x') | list
el | batch(3) | list
range(7) | batch(1) | list
range(3) | batch(0) | list
range(7) | slice(3) | list
range(7) | slice(3, 'x') | list
range(2) | slice(4) | list
range(2) | slice(0) | list
users | groupby('age') | length
users | groupby('city') | map('first') | list
users | groupby('city', case_sensitive=true) | map('first') | list
(users | groupby('age'))[0].grouper
(users | groupby('age'))[1].list | map(attribute='name') | list
users | groupby('nope', default='x') | map('first') | list
users | groupby('nope')
[] | groupby('a')
'%s, %s!' | format('a', 1)
'%(a)s' | format(a=1)
'%s' | format(1, a=2)
'%s' | format
'a' | format(1)
s | truncate(5)
s | truncate(9, true)
'foo bar baz qux' | truncate(9)
'foo bar baz qux' | truncate(9, True)
'foo bar baz qux' | truncate(11)
'foo bar baz qux' | truncate(11, False, '...', 0)
'foo bar baz qux' | truncate(9, end='!')
'foo bar baz qux' | truncate(1)
u | truncate(7, true, '', 0)
'short' | truncate
s | center(20) ~ '|'
s | center(21) ~ '|'
'ab' | center(5) ~ '|'
'abc' | center(6) ~ '|'
s | center(3)
html | striptags
'<p>a  <b>b</b>\n<!-- c --> d &amp; &lt;</p>' | striptags
'a b/c?d=é&' | urlencode
{'a b': 'c/d', 'e': 1} | urlencode
[('a', 'b c')] | urlencode
5 | urlencode
d | attr('items') is callable
d | attr('a')
s | attr('upper')()
undefined_name | attr('a')
users | map('attr', 'name') | list
l | pprint_nope if false else 'ok'
x is odd
x is even
neg is odd
7.0 is odd
'a' is odd
x is divisibleby 7
x is divisibleby(0)
x is defined
undefined_name is defined
undefined_name is undefined
x is not defined
not x is defined
none is none
nil is none
x is none
undefined_name is none
t is boolean
x is boolean
no is false
zero is false
t is true
1 is true
x is integer
t is integer
f is integer
f is float
x is float
x is number
t is number
f is number
s is number
s is string
x is string
d is mapping
l is mapping
l is sequence
s is sequence
d is sequence
x is sequence
range(3) is sequence
d.items() is sequence
undefined_name is sequence
l is iterable
s is iterable
x is iterable
nil is iterable
d.keys() is iterable
undefined_name is iterable
range is callable
s.upper is callable
s is callable
undefined_name is callable
nil is sameas none
x is sameas 7
1 is sameas true
l is sameas l
[] is sameas []
'abc' is lower
'aBc' is lower
'ABC' is upper
'123' is upper
5 is lower
x is in [7]
8 is in [7]
8 is not in [7]
x is eq 7
x is equalto 7
x is ne 7
x is gt 3
x is greaterthan 8
x is ge 7
x is lt 8
x is lessthan 7
x is le 7
x is lt 'a'
'upper' is filter
'nope' is filter
'odd' is test
'nope' is test
x is odd and y is odd
x is odd or no
x is odd if t else 'n'
x is gt 3 and x is lt 10
l is sequence and l is not string
'a' is in 'abc'
x is divisibleby 7 and true
5 is odd == true
'a b c'.split()
' a  b '.split()
'a,b,c'.split(',')
'a,b,c'.split(',', 1)
'a,b,c'.rsplit(',', 1)
'a  b c'.split(none, 1)
'  a  b  c  '.split(none, 1)
'  a  b  c  '.rsplit(none, 1)
'a b c'.split(maxsplit=1)
'a--b'.split('-')
''.split()
''.split(',')
'a'.split('')
'a,b'.split(sep=',')
'x</think>y</think>z'.split('</think>')[-1]
'x</think>y'.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n')
'abc'.split(5)
'漢a字'.split('a')
'  a '.strip() ~ '|'
'xxaxx'.strip('x')
'xxaxx'.lstrip('x')
'xxaxx'.rstrip('x')
'\n\na\n'.strip('\n')
'éaé'.strip('é')
'a'.strip(none)
'a'.strip(5)
'abc'.startswith('ab')
'abc'.startswith(('x', 'a'))
'abc'.startswith('b', 1)
'abc'.startswith('')
'abc'.startswith('', 5)
'abc'.startswith(['a'])
'abc'.startswith(5)
'abc'.endswith('bc')
'abc'.endswith(('x', 'c'))
'abc'.endswith('b', 0, 2)
'aXbX'.replace('X', '-')
'aXbX'.replace('X', '-', 1)
'aXbX'.replace('X', '-', -1)
'aXb'.replace('X', 5)
'aXb'.replace(old='X', new='')
'abc'.find('c')
'abc'.find('z')
'ééc'.find('c')
'abcabc'.rfind('b')
'abcabc'.find('b', 2)
'abcabc'.find('b', -2)
'abc'.find('', 3)
'abc'.find('', 4)
'abc'.index('c')
'abc'.index('z')
'abcb'.rindex('b')
'aaa'.count('a')
'aaaa'.count('aa')
'abc'.count('')
'aaa'.count('a', 1)
','.join(['a', 'b'])
','.join('abc')
','.join([1])
','.join(d)
''.join([])
'a\nb\r\nc'.splitlines()
'a\nb\n'.splitlines(true)
'a\x0bb\x0cc\x1cd\x85e\u2028f'.splitlines()
''.splitlines()
'\n'.splitlines()
'abc'.removeprefix('ab')
'abc'.removesuffix('bc')
'abc'.removeprefix('x')
'123'.isdigit()
'12a'.isdigit()
'²'.isdigit()
'²'.isdecimal()
'½'.isnumeric()
''.isdigit()
'abc'.isalpha()
'é漢'.isalpha()
'a1'.isalpha()
'a1'.isalnum()
' \t\n'.isspace()
''.isspace()
'ABC'.isupper()
'ABc'.isupper()
'abc1'.islower()
'Ab Cd'.istitle()
'AB'.istitle()
'a_1'.isidentifier()
'1a'.isidentifier()
'abc'.isascii()
'é'.isascii()
'a\n'.isprintable()
'a-b-c'.partition('-')
'a-b-c'.rpartition('-')
'abc'.partition('-')
'abc'.rpartition('-')
'abc'.partition('')
'42'.zfill(5)
'-42'.zfill(5)
'+4'.zfill(2)
'a'.ljust(3) ~ '|'
'a'.rjust(3, '.')
'a'.center(4, '*')
'ab'.center(5, '*')
'a'.ljust(3, 'xy')
'é'.ljust(3, '漢')
'a\tb'.expandtabs()
'a\tb\n\tc'.expandtabs(4)
'aBc'.swapcase()
'straße'.casefold()
'hello wORLD it\'s'.title()
'hello wORLD'.capitalize()
'HeLLo'.lower()
'heLLo'.upper()
'ß'.upper()
'ΑΣ'.lower()
'{} {}'.format(1, 'a')
'{0} {1} {0}'.format('a', 'b')
'{a} {b}'.format(a=1, b=2)
'{0[a]} {0.b}'.format({'a': 1, 'b': 2})
'{[0]}'.format([5])
'{:>5}|{:<5}|{:^5}'.format('a', 'b', 'c')
'{:*^7}'.format('ab')
'{:05d}'.format(42)
'{:+d} {: d}'.format(5, 5)
'{:x} {:X} {:#x} {:o} {:b} {:c}'.format(255, 255, 255, 8, 5, 65)
'{:,} {:_}'.format(1234567, 1234567)
'{:.2f} {:8.3f} {:e} {:g} {:%}'.format(3.14159, 2.5, 12345.678, 0.0001, 0.25)
'{:.3}'.format('abcdef')
'{:5}|{:5}'.format(1, 'a')
'{!r} {!s} {!a}'.format('a', 'b', 'é')
'{{}} {}'.format(1)
'{:{}}|'.format('a', 5)
'{} {}'.format(1)
'{a}'.format()
'{0} {}'.format(1, 2)
'{'.format()
'}'.format()
'{:d}'.format('a')
'{:d}'.format(1.5)
'{:s}'.format(5)
'{}'.format(none)
'{}'.format([1, 'a'])
'{:5}'.format(none)
'{:.2}'.format(3.14159)
'{}'.format(1.0)
'{:.0f}'.format(2.5)
'{:,.2f}'.format(1234567.891)
'{:=+5}'.format(3)
'{:010.3f}'.format(-3.14159)
'{0.__class__}'.format('a')
'%s and %s' % ('a', 1)
'%s' % 'a'
'%s' % 5
'%s' % [1, 2]
'%s' % (1,)
'%s' % d
'%d' % 3.9
'%d' % '3'
'%5d|%-5d|%05d|%+d|% d' % (42, 42, 42, 42, 42)
'%x %X %#x %o %#o' % (255, 255, 255, 8, 8)
'%.2f %8.3f %-8.1f| %e %g' % (3.14159, 2.5, 1.25, 12345.678, 0.00001)
'%5s|%-5s|%.2s' % ('a', 'b', 'cdef')
'%r %a' % ('é', 'é')
'%c%c' % (65, 'b')
'%%' % ()
'%(a)s %(b)d' % {'a': 1, 'b': 2}
'%(z)s' % {'a': 1}
'%s %s' % 'a'
'%s' % ('a', 'b')
'a' % 5
'a' % []
'%z' % 1
'%' % 1
'%*d' % (5, 42)
'%.3d' % 5
'%i %u' % (1, 2)
'%s' % none
'%s' % undefined_name
'%d' % true
'%5.1f%%' % 12.345
s.upper().lower()
s.split(' ')[0].upper() ~ '!'
raise_exception('bad ' ~ x)
raise_exception(5)
raise_exception()
strftime_now('%Y-%m-%d')
strftime_now('%d %b %Y')
strftime_now('%A, %B %d, %H:%M:%S %p %j')
strftime_now('')
strftime_now('%%')
strftime_now('[%f|%z|%Z]')
strftime_now('é %Y')
strftime_now(5)
joiner is callable
cycler('a', 'b').next()
cycler()
tool.function.parameters.properties | list
tool.function.parameters.properties.items() | list | first | last
tool['function']['name']
tool.get('function', {}).get('name', 'n')
(1, 2)[0]
[1, 2][-1]
{'a': {'b': [10, 20]}}.a.b[1]
(x + y) * 2 - 1
x % y == 1 and x // y == 2
x ** 2 ~ ''
"a" if x > 5 and y < 5 or z else "b"
[1, 2, 3] | map('string') | join('+') | length
(users | first).name
users[0].tags | join
users[-1]['name']
users | map(attribute='tags') | map('length') | sum
9223372036854775807
l|join(',')|replace(',', '')|int + 1
not true == false
2 * -3
2 - -3
1 if true else 2 if true else 3
[1 if true else 2]
{'a': 1 if false else 2}
(true and false) or true
'a' in 'abc' and 'd' not in 'abc'
1 == 1.0 == true
'%s' | format(none)
x is not none and x is not undefined
{'role': 'user'} == {'role': 'user'}
users == users
dict(d, z=1)
dict(**d)
range(*[1, 4]) | list
'{}-{}'.format(*['a', 'b'])
dict(**{'q': 1}, **{'r': 2})
1 +
(1
[1
{'a'
1 2
'abc
x..y
x.
| upper
x |
x is
x is not
if
1 = 2
f(a=1, 2)
f(*a, 1)
x[
x[]
a b
@
x ?
1 if
not
x if y else
'\xZZ'
'\u12'
"""

STATEMENTS = [
    # Whitespace control.
    "a {{ x }} b", "a {{- x }} b", "a {{ x -}} b", "a {{- x -}} b", "a {{+ x }} b", "{{ x }}\n", "{{ x }}\n\n", "\n{{ x }}",
    "a\n{% if t %}\nb\n{% endif %}\nc\n", "a\n  {% if t %}\n  b\n  {% endif %}\nc", "a\n  {%+ if t %}\n  b\n  {%+ endif %}\nc",
    "a\n  {%- if t %}\n  b\n  {%- endif %}\nc", "a\n  {% if t -%}\n  b\n  {% endif -%}\n c", "a {% if t +%}\nb{% endif +%}\nc",
    "  {% if t %}x{% endif %}", "x  {% if t %}y{% endif %}", "\t {% if t %}x{% endif %}  \n", "{% if t %}  {% if t %}x{% endif %}{% endif %}",
    "  {{ x }}", "a\n  {{ x }}\nb", "a {#- c -#} b", "a {# c #}\nb", "a\n  {# c #}\nb", "a {#+ c +#}\nb", "a {#--#} b", "a{#-#}b", "a {##} b", "{# a\nb #}{{ x }}",
    "{# unclosed", "{% raw %}{{ x }}{% endraw %}", "a {%- raw -%} {{ b }} {%- endraw -%} c", "{% raw %}\n a\n{% endraw %}\nb",
    "  {% raw %}x{% endraw %}", "{% raw %}a\n  {% endraw %}b", "{% raw -%}  a{% endraw %}", "{% raw %} {% if %} {% endraw %}", "{% raw %}", "{%raw%}x{%endraw%}",
    "{%- raw %}x{%- endraw %}", "{% raw %}{% raw %}{% endraw %}", "a\r\nb\rc\n{{ 'd\r\ne' }}", "\n\n{% if t %}\n\nx\n\n{% endif %}\n\n",
    "{% set a = 1 %}\n{{ a }}", "{% set a = 1 %}  \n{{ a }}", "a{{ '' }}\n{% if t %}b{% endif %}", "\n  {%- if t -%}  \n x \n {%- endif -%} \n", "{{\nx\n}}", "{%\nif t\n%}a{%\nendif\n%}",
    "{% if t %}a{%- else %} b {% endif %}", "{ {x} } {x}", "{", "{{ '}}' }}", "{{ {'a': {'b': 1}}['a']['b'] }}", "{{ {'a':1}}}", "%} }} #}", "{{ '{{' }}", "{% if '%}' %}x{% endif %}",
    "{{ [[1]]}}", "{{- 'x' -}}", "{{-1}}", "{{ -1 }}", "{{x}}{{y}}", "a{% if t %}{% endif %}b\n\nc{{ x }}\n", "{% if t %}\r\nx\r\n{% endif %}", "  \n  {% set a = 1 %}\n  b",
    "\u00a0{%- if t %}x{% endif %}", "\u2003\n\u2003{% if t %}x{% endif %}", "x\x1f{%- if t %}{% endif %}", "{%-if t-%} x {%-endif-%}", "{%- if t -%}{{ '' }}  {%- endif %} ",
    # if
    "{% if x == 7 %}a{% elif y %}b{% else %}c{% endif %}", "{% if no %}a{% elif y %}b{% else %}c{% endif %}", "{% if no %}a{% elif no %}b{% else %}c{% endif %}",
    "{% if undefined_name %}a{% endif %}z", "{% if not undefined_name %}a{% endif %}", "{% if x, %}a{% endif %}", "{% if el %}a{% else %}b{% endif %}", "{% if x %}{% if no %}a{% else %}b{% endif %}{% endif %}",
    "{% if x %}", "{% if x %}a{% else %}", "{% if %}a{% endif %}", "{% endif %}", "{% if x %}a{% endfor %}", "{% if x: %}a{% endif %}", "{% elif x %}", "{% if x %}a{% else %}b{% elif y %}{% endif %}",
    # for
    "{% for i in l %}{{ i }},{% endfor %}", "{% for i in el %}a{% else %}none{% endfor %}", "{% for i in l %}{{ i }}{% else %}none{% endfor %}", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}", "{% for c in u %}[{{ c }}]{% endfor %}", "{% for i in undefined_name %}a{% else %}b{% endfor %}", "{% for i in 5 %}{% endfor %}", "{% for i in none %}{% endfor %}",
    "{% for a, b in nested %}{{ a }}{{ b }}{% endfor %}", "{% for a, b in l %}{% endfor %}", "{% for a, b in [[1, 2, 3]] %}{% endfor %}", "{% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for (a, b) in nested %}{{ a + b }}{% endfor %}", "{% for a, in [[1]] %}{{ a }}{% endfor %}", "{% for i in 1, 2, 3 %}{{ i }}{% endfor %}", "{% for i in range(3) if i != 1 %}{{ i }}{{ loop.index }}{{ loop.length }}{% endfor %}",
    "{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {% endfor %}",
    "{% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }} {% endfor %}", "{% for i in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }}{% endfor %}",
    "{% for i in l %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% for i in l %}{{ loop.cycle() }}{% endfor %}", "{% for i in [1, 1, 2, 2, 1] %}{{ loop.changed(i) }}{% endfor %}", "{% for i in [1, 2] %}{{ loop.changed(i, 1) }}{% endfor %}",
    "{% for i in l %}{{ loop.nope }}{{ loop.nope is defined }}{% endfor %}", "{% for i in l %}{{ loop.nope.x }}{% endfor %}", "{% for i in l %}{{ loop }}{% endfor %}", "{% for i in l %}{{ loop | length }}{% endfor %}",
    "{% for i in l | map('string') %}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{% endfor %}", "{% for i in l | reverse %}{{ i }}{{ loop.nextitem }}{% endfor %}", "{% for u in users | selectattr('admin') %}{{ u.name }}{{ loop.index }}/{{ loop.length }} {% endfor %}",
    "{% for i in l %}{% for j in l %}{{ loop.index }}{{ loop.first }}{% endfor %}{{ loop.index }};{% endfor %}", "{% for i in l %}{% set outer = loop %}{% for j in [1, 2] %}{{ outer.index }}.{{ loop.index }} {% endfor %}{% endfor %}",
    "{% for i in l %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "{% for i in l %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% endfor %}", "{% for i in l %}{% break %}{% else %}e{% endfor %}", "{% for i in l %}{% continue %}{% else %}e{% endfor %}",
    "{% for i in l %}{% if i == 3 %}{% continue %}{% endif %}x{% else %}e{% endfor %}", "{% for i in l %}{% for j in l %}{% break %}{% endfor %}{{ i }}{% endfor %}", "{% for i in l %}{% for j in el %}{% else %}{% break %}{% endfor %}{{ i }}{% endfor %}",
    "{% break %}", "{% continue %}", "{% for i in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}", "{% for i in l %}{% set z %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% endset %}{{ z }}{% endfor %}",
    "{% for i in l %}{% set i = 5 %}{{ i }}{% endfor %}", "{% set v = 0 %}{% for i in l %}{% set v = v + i %}{{ v }}{% endfor %}{{ v }}", "{% for i in l %}{{ v }}{% set v = i %}{{ v }}{% endfor %}", "{% for loop in l %}{% endfor %}", "{% for i in l %}{% set loop = 1 %}{% endfor %}",
    "{{ loop }}", "{% for i in l %}{% endfor %}{{ i }}{{ loop is defined }}", "{% for x in l %}{{ x }}{% endfor %}{{ x }}", "{% for i in l if loop.index %}{% endfor %}", "{% for i in l if i is odd %}{{ loop.previtem }}{{ i }}{{ loop.nextitem }} {% endfor %}",
    "{% for n in tree recursive %}{{ n.v }}{% if n.c %}({{ loop(n.c) }}){% endif %}{% endfor %}", "{% for n in tree recursive %}{{ loop.depth }}{{ loop.depth0 }}{{ n.v }}{{ loop(n.c) }}{% else %}.{% endfor %}", "{% for i in l %}{{ loop([1]) }}{% endfor %}",
    "{% for n in tree recursive %}{% set q = n.v %}{{ loop(n.c) }}{{ q }}{% endfor %}", "{% for i in l recursive %}{{ i }}{% endfor %}", "{% for i in l", "{% for i l %}{% endfor %}", "{% for i in %}{% endfor %}", "{% for 1 in l %}{% endfor %}", "{% for none in l %}{% endfor %}",
    "{% for i in l %}a", "{% for i in [1, 2] if false %}a{% else %}b{% endfor %}", "{% for i in range(3) %}{% for j in range(i) %}{{ i }}{{ j }} {% endfor %}{% endfor %}", "{% for k, v in d | dictsort %}{{ k }}{{ v }}{% endfor %}", "{% for k, v in d | items %}{{ k }}{{ v }}{% endfor %}",
    "{% for g in users | groupby('age') %}{{ g.grouper }}:{{ g.list | length }} {% endfor %}", "{% for g, items in users | groupby('age') %}{{ g }}:{{ items | map(attribute='name') | join }} {% endfor %}", "{% for row in range(5) | batch(2) %}{{ row }}{% endfor %}",
    "{% set g = l | map('string') %}{% for i in g %}{{ i }}{% endfor %}-{% for i in g %}{{ i }}{% endfor %}", "{% set g = l | map('string') %}{{ g | first }}{{ g | list }}", "{% set r = l | reverse %}{{ r | list }}{{ r | list }}",
    "{% for i in l %}{{ loop.index if not loop.last }}{{ ', ' if not loop.last else '.' }}{% endfor %}", "{% for m in users[1:] %}{{ m.name }}{% endfor %}", "{% for m in users[::-1] %}{{ m.name }}{{ loop.index0 }}{% endfor %}",
    # set, scoping, namespace
    "{% set a = 1 %}{{ a }}", "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a, b = [1] %}", "{% set (a, b) = (1, 2) %}{{ a }}", "{% set a = 1, 2 %}{{ a }}", "{% set a = %}", "{% set a %}", "{% set a %}x{{ x }}{% endset %}{{ a }}|{{ a | length }}",
    "{% set a | upper %}x{{ 'y' }}{% endset %}{{ a }}", "{% set a | upper | replace('X', 'z') %}xy{% endset %}{{ a }}", "{% set a | trim %}\n  x\n{% endset %}[{{ a }}]", "{% set a %}{% set b = 1 %}{{ b }}{% endset %}{{ a }}{{ b }}", "{% set 1 = 2 %}", "{% set none = 2 %}", "{% set true = 2 %}",
    "{% set a.b = 1 %}", "{% set x.b = 1 %}", "{% set ns = namespace() %}{% set ns.a = 1 %}{{ ns.a }}", "{% set ns = namespace(n=0) %}{% for i in l %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "{% set ns = namespace(a=1) %}{% set ns.a, ns.b = 2, 3 %}{{ ns.a }}{{ ns.b }}",
    "{% set ns = namespace(a=1) %}{{ ns.b }}{{ ns.b is defined }}", "{% set ns = namespace(a=1) %}{{ ns.b.c }}", "{% set ns = namespace() %}{% set ns._a = 1 %}", "{% set ns = namespace() %}{% set ns.a %}text{% endset %}{{ ns.a }}", "{% set ns = namespace(found=false) %}{% for i in l %}{% if i == 1 %}{% set ns.found = true %}{% break %}{% endif %}{% endfor %}{{ ns.found }}",
    "{% set ns = namespace() %}{% set ns.self = ns %}{{ ns.self is sameas ns }}", "{% set d.q = 1 %}", "{% set ns = namespace(a=[]) %}{% for i in l %}{% set ns.a = ns.a + [i] %}{% endfor %}{{ ns.a }}", "{{ namespace(a=1) is mapping }}{{ namespace() is iterable }}{{ namespace() is callable }}", "{% if t %}{% set q = 1 %}{% endif %}{{ q }}", "{% if no %}{% set q = 1 %}{% endif %}{{ q }}",
    "{% if no %}{% set x = 1 %}{% endif %}{{ x }}", "{{ x }}{% set x = 1 %}{{ x }}", "{% for i in [1] %}{{ x }}{% endfor %}{% set x = 1 %}{{ x }}", "{% for i in [1] %}{{ x }}{% endfor %}{% if t %}{% set x = 1 %}{% endif %}{{ x }}", "{% for i in [1] %}{% set x = 1 %}{{ x }}{% endfor %}{{ x }}",
    "{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% set x = 1 %}{{ m() }}", "{% for i in [1] %}{% for j in [1] %}{{ x }}{% endfor %}{% set x = 1 %}{% endfor %}", "{{ y }}{% for i in [1] %}{% for j in [1] %}{{ y }}{% endfor %}{% set y = 1 %}{% endfor %}", "{% set x = x + 1 %}{{ x }}", "{% for i in l if i < x %}{{ i }}{% endfor %}{% set x = 1 %}{{ x }}", "{% filter replace('a', s) %}a{% endfilter %}{% set s = 1 %}{{ s }}",
    "{% macro m(a=x) %}{{ a }}{% endmacro %}{{ m() }}{% set x = 1 %}{{ m() }}", "{% with a = x %}{{ a }}{% endwith %}{% set x = 1 %}{{ x }}", "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{{ x }}{% endcall %}{% set x = 1 %}", "{% set x %}{{ x }}{% endset %}{{ x }}",
    "{% for i in l %}{% else %}{% endfor %}{% for i in el %}{% else %}{{ x }}{% endfor %}{% set x = 1 %}", "{% set x %}a{% endset %}{% for i in l %}{{ x }}{% endfor %}", "{% if no %}{{ x }}{% endif %}{% for i in l %}{{ x }}{% endfor %}{% set x = 1 %}", "{% set m = message %}{{ m.role }}{% set m = none %}{{ m }}",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}", "{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% with a, b = nested[0] %}{{ a }}{{ b }}{% endwith %}", "{% with a = 1 %}{% set x = 2 %}{{ x }}{% endwith %}{{ x }}", "{% with a %}{% endwith %}", "{% with x = x %}{{ x }}{% endwith %}",
    # macros and calls
    "{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(b=5, a=4) }} {{ m() }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}", "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, c=3) }}",
    "{% macro m(a) %}{{ a }}{{ varargs }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ kwargs | tojson }}{% endmacro %}{{ m(b=1) }}", "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1, 2) }}", "{% macro m(a=b, b=1) %}{{ a }}{{ b }}{% endmacro %}{{ m() }}{{ m(b=2) }}", "{% macro m(a=1, b) %}{% endmacro %}",
    "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}", "{% macro m() %}{{ x }}{% set x = 1 %}{{ x }}{% endmacro %}{{ m() }}{{ x }}", "{% macro m() %}  a  {% endmacro %}[{{ m() }}]", "{% macro m() -%}  a  {%- endmacro %}[{{ m() }}]", "{{ m() }}{% macro m() %}a{% endmacro %}", "{% for i in l %}{{ m() }}{% endfor %}{% macro m() %}a{% endmacro %}",
    "{% macro m() %}a{% endmacro %}{{ m }}", "{% macro m(a, b) %}a{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m.catch_varargs }}{{ m.caller }}{{ m.nope }}", "{% macro m() %}a{% endmacro %}{{ m is callable }}{{ m is defined }}", "{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}{{ m(none) }}", "{% macro m(a) %}{{ a.b }}{% endmacro %}{{ m() }}",
    "{% macro m(a) %}{{ caller() }}{{ a }}{% endmacro %}{% call m(1) %}body{{ x }}{% endcall %}", "{% macro m() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b) m() %}{{ a + b }}{% endcall %}", "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}{% call m() %}{% endcall %}", "{% macro m() %}a{% endmacro %}{% call m() %}{% endcall %}",
    "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}{% call m() %}{% set q = 1 %}{{ q }}{% endcall %}{{ q }}", "{% macro o() %}[{{ caller() }}]{% endmacro %}{% macro m() %}{% call o() %}{{ caller() }}{% endcall %}{% endmacro %}{% call m() %}x{% endcall %}", "{% call x %}{% endcall %}", "{% call undefined_name() %}{% endcall %}", "{% macro m(caller) %}{{ caller }}{% endmacro %}", "{% macro m(caller=none) %}{{ caller }}{% endmacro %}{{ m() }}",
    "{% macro m(d, level=0) %}{% for k, v in d.items() %}{{ '  ' * level }}{{ k }}: {% if v is mapping %}\n{{ m(v, level + 1) }}{% else %}{{ v }}\n{% endif %}{% endfor %}{% endmacro %}{{ m(tool) }}", "{% macro m(x) %}{{ x }}{% endmacro %}{{ l | map('string') | map('upper') | join }}{{ m(m(1)) }}", "{% macro m() %}{% macro n() %}i{% endmacro %}{{ n() }}{% endmacro %}{{ m() }}", "{% macro m(a, a) %}{% endmacro %}", "{% macro m %}{% endmacro %}", "{% macro () %}{% endmacro %}",
    "{% macro m(kwargs) %}{{ kwargs }}{% endmacro %}{{ m(1) }}", "{% macro m() %}{% set kwargs = 1 %}{{ kwargs }}{% endmacro %}{{ m() }}{{ m(a=1) }}", "{% if t %}{% macro m() %}a{% endmacro %}{% endif %}{{ m() }}", "{% for i in l %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}", "{% macro m(*a) %}{% endmacro %}", "{{ dict(a=1, a=2) }}", "{{ undefined_name(1) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(*[5]) }}{{ m(**{'a': 6}) }}",
    # filter blocks, raw text, errors of tags
    "{% filter upper %}a{{ s }}{% endfilter %}", "{% filter replace('a', 'b') %}aa{% endfilter %}", "{% filter upper | replace('A', 'x') %}abc{% endfilter %}", "{% filter nope %}a{% endfilter %}", "{% filter trim %}  {% set q = 1 %}{{ q }} {% endfilter %}{{ q }}", "{% filter indent(2) %}a\nb{% endfilter %}", "{% for i in l %}{% filter upper %}{% if i == 1 %}{% break %}{% endif %}a{% endfilter %}{% endfor %}",
    "{% print x, s %}", "{% print %}", "{% nope %}", "{% include 'a' %}", "{% import 'a' as b %}", "{% extends 'a' %}", "{% from 'a' import b %}", "{% %}", "{% 5 %}", "{{ }}", "{{ x", "{% if x", "{{ x }", "{{ x %}", "{% if x }}", "{{ x | nope }}", "{{ x is nope }}", "{% if no %}{{ x | nope }}{% endif %}", "{% if t %}{{ x | nope }}{% endif %}", "{{ (x | nope) if no else 1 }}", "{{ 1 if no else x | nope }}",
    "{% if no %}{% for i in l %}{{ i | nope }}{% endfor %}{% endif %}", "{% for i in el %}{{ i | nope }}{% endfor %}", "{% if no %}{% for i in l | nope %}{% endfor %}{% endif %}", "{% if no %}{{ x is nope }}{% endif %}", "{% macro m() %}{{ x | nope }}{% endmacro %}", "{% if no %}{% set a %}{{ x | nope }}{% endset %}{% endif %}",
    # generation
    "a{% generation %}b{{ x }}{% endgeneration %}c", "{% for i in l %}{{ i }}{% generation %}é{{ i }}{% endgeneration %}{% endfor %}", "{% generation %}{% set q = 1 %}{{ q }}{% endgeneration %}{{ q }}", "a{% set z %}b{% generation %}c{% endgeneration %}{% endset %}d{{ z }}", "{% macro m() %}x{% generation %}y{% endgeneration %}{% endmacro %}ab{{ m() }}", "{% generation %}a", "a\n{% generation %}\nb\n{% endgeneration %}\nc", "{%- generation -%} b {%- endgeneration -%}",
    "{% for i in l %}{% generation %}{% break %}{% endgeneration %}{% endfor %}", "é{% generation %}{% endgeneration %}", "{% generation %}a{% generation %}b{% endgeneration %}c{% endgeneration %}",
    # raise, time, joiner, cycler, loops over objects
    "{% if x > 5 %}{{ raise_exception('x is too big: ' + x|string) }}{% endif %}", "{% if users[0].name != 'Bob' %}{{- raise_exception('Roles must alternate') -}}{% endif %}", "{% set j = joiner() %}{% for i in l %}{{ j() }}{{ i }}{% endfor %}", "{% set j = joiner('|') %}{{ j() }}{{ j() }}{{ j() }}", "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}",
    "{% set c = cycler(1, 2) %}{% for i in l %}{{ c.next() }}{% endfor %}", "{{ strftime_now('%d %B %Y') if strftime_now is defined else 'never' }}", "{% set date_string = strftime_now('%d %b %Y') %}{{ date_string }}", "{% for k, v in tool.function.parameters.properties.items() %}{{ k }}: {{ v.type }}{{ '?' if k not in tool.function.parameters.required }}{{ ', ' if not loop.last }}{% endfor %}",
    "{% if message.tool_calls is defined and message.tool_calls %}a{% elif message.content is string %}{{ message.content }}{% endif %}", "{{ (messages | default([])) | length }}", "{% for m in messages | default([]) %}{% endfor %}ok", "{% set sys = users[0] if users[0].name == 'Ann' else none %}{{ sys.name }}", "{{ users[0]['name'] + ': ' + users[0]['city'] | trim + '\n' }}", "{{ 'a' + 'b' | upper }}", "{{ ('a' + 'b') | upper }}", "{{ 'a' ~ 'b' | upper ~ 'c' }}", "{{ -x | abs }}", "{{ (-x) | abs }}", "{{ 2 ** 2 | string }}", "{{ x.y.z is defined }}", "{{ message.a is defined and message.a.b is defined }}", "{{ not message.nope }}",
    "{{ messages[0]['role'] }}", "{% for m in [1] %}{{ m }}{% endfor %}{% for m in [2] %}{{ m }}{% endfor %}", "{{ [1, 2, 3] | sum // 2 }}", "{% set ns = namespace(i=0) %}{% for _ in range(3) %}{% set ns.i = ns.i + loop.index %}{% endfor %}{{ ns.i }}", "{% set _ = 5 %}{{ _ }}", "{% set ünï = 1 %}{{ ünï }}", "{{ x }}{# {{ y }} #}{{ y }}", "line1\nline2 {{ undefined_name.x }}", "{{ 'a\nb' }}\n{{ nil.x.y }}",
]
