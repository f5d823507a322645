#pragma once

#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "text/jinja/statements.h"

namespace accrue::jinja {

/// Follows which names a template reads and sets while it is parsed. Jinja
/// decides by that what a name means before anything has run.
class Names {
 public:
  using Hidden = std::vector<std::string>;

  /// A block with variables of its own. `is_macro` if it may read caller,
  /// kwargs and varargs as special names.
  void begin(bool is_macro = false);
  /// Names for Body::hidden, final only once the outermost block ended.
  std::shared_ptr<Hidden> end();
  /// As end(), and says which special names the macro reads.
  void end(MacroDefinition& macro);

  /// A branch of an if: what is set there may not be set.
  void begin_branch();
  void end_branch();

  void read(const std::string& name);
  void set(const std::string& name);
  /// A parameter or the target of a loop.
  void declare(const std::string& name);

 private:
  struct Scope {
    std::unordered_set<std::string> known;
    std::shared_ptr<Hidden> hidden = std::make_shared<Hidden>();
    std::vector<std::shared_ptr<Hidden>> inner; // of the blocks within
    int branches = 0;
    bool is_macro = false;
    std::unordered_set<std::string> special_read;
    std::unordered_set<std::string> special_set;
  };

  void set_special(const std::string& name);

  std::vector<Scope> scopes_;
};

} // namespace accrue::jinja
