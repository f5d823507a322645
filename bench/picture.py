"""A picture of one setting: throughput over memory, one line per system."""

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 420, 70, 50, 50, 120
COLOURS = {"accrue": "#0b6e4f", "eager": "#c0392b", "compile": "#d98200",
           "accelerate": "#5b4b8a", "trainer": "#2f6db5"}


def ticks(most):
    step = 10 ** len(str(int(most / 4))) / 10
    while most / step > 6:
        step *= 2
    return [i * step for i in range(int(most / step) + 1)]


def draw(setting):
    rows = [r for r in setting["rows"] if r["system"] in COLOURS]
    floor = setting["floor"]["tokens_per_s"]
    most_x = max(r["memory_bytes"] for r in rows) / 2**20 * 1.05
    most_y = max([floor] + [r["tokens_per_s"] for r in rows]) * 1.08
    def x(mib):
        return LEFT + mib / most_x * (WIDTH - LEFT - RIGHT)
    def y(speed):
        return HEIGHT - BOTTOM - speed / most_y * (HEIGHT - BOTTOM - TOP)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
             'font-family="sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
             f'<text x="{LEFT}" y="24" font-size="15">{setting["model"]}, {setting["dtype"]}: '
             'tokens/s over memory; figures are micro-batches</text>']
    for tick in ticks(most_x):
        parts.append(f'<text x="{x(tick):.0f}" y="{HEIGHT - BOTTOM + 18}" '
                     f'text-anchor="middle">{tick:.0f}</text>')
    for tick in ticks(most_y):
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.0f}" '
                     f'y2="{y(tick):.0f}" stroke="#ddd"/>'
                     f'<text x="{LEFT - 8}" y="{y(tick) + 4:.0f}" text-anchor="end">{tick:.0f}</text>')
    parts.append(f'<text x="{(WIDTH - RIGHT + LEFT) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">'
                 'MiB above the program before it has a model</text>')
    parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(floor):.0f}" y2="{y(floor):.0f}" '
                 f'stroke="#555" stroke-dasharray="6 4"/><text x="{WIDTH - RIGHT + 6}" '
                 f'y="{y(floor) + 4:.0f}" fill="#555">GEMM floor</text>')
    systems = list(dict.fromkeys(r["system"] for r in rows))
    for index, system in enumerate(systems):
        colour = COLOURS[system]
        points = sorted((r["micro_batch"], x(r["memory_bytes"] / 2**20), y(r["tokens_per_s"]))
                        for r in rows if r["system"] == system)
        path = " ".join(f"{px:.1f},{py:.1f}" for _, px, py in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        for micro_batch, px, py in points:
            parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" fill="{colour}"/>'
                         f'<text x="{px + 5:.1f}" y="{py - 5:.1f}" fill="{colour}" '
                         f'font-size="10">{micro_batch}</text>')
        parts.append(f'<text x="{WIDTH - RIGHT + 6}" y="{TOP + 18 * index}" fill="{colour}">'
                     f'{system}</text>')
    return "\n".join(parts + ["</svg>"]) + "\n"
