// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "text/jinja/statements.h"

namespace accrue::jinja {

/// Records the names that a template reads and sets while it is parsed. From
/// them Jinja decides what a name means before the template runs.
class Names {
 public:
  using Hidden = std::vector<std::string>;

  /// Begins a block with variables of its own. `is_macro`: it may read caller,
  /// kwargs and varargs as special names.
  void begin(bool is_macro = false);
  /// Ends a block. Returns the names for Body::hidden, which are final only
  /// when the outermost block has ended.
  std::shared_ptr<Hidden> end();
  /// Ends a block like end() and sets which special names the macro reads.
  void end(MacroDefinition& macro);

  /// Begins a branch of an if. Names that are set in it may not be set after
  /// it.
  void begin_branch();
  void end_branch();

  void read(const std::string& name);
  void set(const std::string& name);
  /// Declares a parameter or the target of a loop.
  void declare(const std::string& name);

 private:
  struct Scope {
    std::unordered_set<std::string> known;
    std::shared_ptr<Hidden> hidden = std::make_shared<Hidden>();
    std::vector<std::shared_ptr<Hidden>> inner; // names of inner blocks
    int branches = 0;
    bool is_macro = false;
    std::unordered_set<std::string> special_read;
    std::unordered_set<std::string> special_set;
  };

  void set_special(const std::string& name);

  std::vector<Scope> scopes_;
};

} // namespace accrue::jinja
