#include <algorithm>

#include "client/cli/context.hpp"

namespace futured::cli {
namespace {

std::vector<std::string> second_words(std::string_view first) {
  std::vector<std::string> out;
  for (const Verb& verb : verbs()) {
    const auto space = verb.name.find(' ');
    if (space != std::string_view::npos && verb.name.substr(0, space) == first)
      out.emplace_back(verb.name.substr(space + 1));
  }
  return out;
}

/// First words of all verbs, each once, with a line about them.
std::vector<std::pair<std::string, std::string>> first_words() {
  std::vector<std::pair<std::string, std::string>> out;
  for (const Verb& verb : verbs()) {
    const std::string first(verb.name.substr(0, verb.name.find(' ')));
    if (out.empty() || out.back().first != first) out.emplace_back(first, std::string(verb.summary));
  }
  return out;
}

std::string_view first_of(const Verb& verb) { return verb.name.substr(0, verb.name.find(' ')); }
std::string_view second_of(const Verb& verb) {
  return verb.name.find(' ') == std::string_view::npos ? "" : verb.name.substr(verb.name.find(' ') + 1);
}

template <class F>
void each_verb(std::string_view first, F f) {
  for (const Verb& verb : verbs()) {
    if (first_of(verb) == first) f(verb);
  }
}

/// What the words after the only verb with this first word are; of several each has its own.
std::string_view completes_of(std::string_view first) {
  std::string_view out;
  each_verb(first, [&](const Verb& verb) { out = second_of(verb).empty() ? verb.completes : ""; });
  return out;
}

/// The options of all verbs with this first word, each once.
template <class F>
void each_own_option(std::string_view first, F f) {
  std::vector<std::string_view> seen;
  each_verb(first, [&](const Verb& verb) {
    for (const auto& table : verb.options) {
      for (const Option& option : table) {
        if (std::find(seen.begin(), seen.end(), option.name) != seen.end()) continue;
        seen.push_back(option.name);
        f(option);
      }
    }
  });
}

template <class F>
void each_option(std::string_view first, F f) {
  for (const Option& option : global_options()) f(option);
  each_own_option(first, f);
}

std::string options_of(std::string_view first) {
  std::string out = "--help";
  each_option(first, [&](const Option& option) { out += " --" + std::string(option.name); });
  return out;
}

/// Every option that has one of a few values, once.
template <class F>
void each_choice(F f) {
  std::vector<std::string_view> seen;
  const auto look = [&](const Option& option) {
    if (option.choices.empty() || std::find(seen.begin(), seen.end(), option.name) != seen.end()) return;
    seen.push_back(option.name);
    f(option);
  };
  for (const Option& option : global_options()) look(option);
  for (const Verb& verb : verbs()) {
    for (const auto& table : verb.options) {
      for (const Option& option : table) look(option);
    }
  }
}

/// What a shell runs for words that only the daemon knows.
std::string source_of(std::string_view completes) {
  if (completes == "task") return "fut catalog -q 2>/dev/null";
  if (completes == "pool") return "fut pool list -q 2>/dev/null";
  if (completes == "worker") return "fut worker list -q 2>/dev/null";
  if (completes == "limit") return "fut limit list -q 2>/dev/null";
  if (completes == "group") return "fut group list -q 2>/dev/null";
  if (completes == "schedule") return "fut schedule list -q 2>/dev/null";
  return {};
}

std::string words_of(std::string_view completes) {
  if (completes == "selector") return "last all state= label= group= task= pool= key=";
  if (completes == "shell") return "bash zsh fish";
  return {};
}

std::string bash() {
  std::string out =
      "# bash completion of fut: source <(fut completions bash)\n"
      "_fut() {\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= sub= i\n"
      "  COMPREPLY=()\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    case ${COMP_WORDS[i]} in\n"
      "      --connect|--color) ((i++)) ;;\n"
      "      -*) ;;\n"
      "      *) if [[ -z $verb ]]; then verb=${COMP_WORDS[i]}; elif [[ -z $sub ]]; then sub=${COMP_WORDS[i]}; fi ;;\n"
      "    esac\n"
      "  done\n"
      "  case $prev in\n";
  each_choice([&](const Option& option) {
    out += "    --" + std::string(option.name) + ") COMPREPLY=($(compgen -W '" + std::string(option.choices) +
           "' -- \"$cur\")); return ;;\n";
  });
  out +=
      "    --pool) COMPREPLY=($(compgen -W \"$(fut pool list -q 2>/dev/null)\" -- \"$cur\")); return ;;\n"
      "    --input-file) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
      "    --plugin-dir|-C|--directory) COMPREPLY=($(compgen -d -- \"$cur\")); return ;;\n"
      "  esac\n"
      "  case $verb in\n";
  std::string firsts;
  for (const auto& [first, summary] : first_words()) {
    firsts += (firsts.empty() ? "" : " ") + first;
    const std::string_view completes = completes_of(first);
    const std::string source = source_of(completes);
    std::string words = words_of(completes);
    const auto seconds = second_words(first);
    for (const auto& second : seconds) words += (words.empty() ? "" : " ") + second;
    out += "    " + first + ")\n      if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W '" + options_of(first) +
           "' -- \"$cur\"))\n";
    if (completes == "command") {
      out += "      else COMPREPLY=($(compgen -c -- \"$cur\") $(compgen -f -- \"$cur\"))\n";
    } else if (!source.empty()) {
      out += "      elif [[ -z $sub ]]; then COMPREPLY=($(compgen -W \"$(" + source + ")\" -- \"$cur\"))\n";
    } else if (!words.empty()) {
      out += std::string("      ") + (seconds.empty() ? "else" : "elif [[ -z $sub ]]; then") +
             " COMPREPLY=($(compgen -W '" + words + "' -- \"$cur\"))\n";
    }
    each_verb(first, [&](const Verb& verb) {
      const std::string third = second_of(verb).empty() ? std::string() : source_of(verb.completes);
      if (third.empty()) return;
      out += "      elif [[ $sub == " + std::string(second_of(verb)) + " ]]; then COMPREPLY=($(compgen -W \"$(" +
             third + ")\" -- \"$cur\"))\n";
    });
    out += "      fi ;;\n";
  }
  std::string globals = "--help --version";
  for (const Option& option : global_options()) globals += " --" + std::string(option.name);
  out += "    '') COMPREPLY=($(compgen -W '" + firsts + " " + globals + "' -- \"$cur\")) ;;\n";
  out += "  esac\n  [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace\n}\ncomplete -F _fut fut\n";
  return out;
}

std::string escaped(std::string_view text, std::string_view special) {
  std::string out;
  for (const char c : text) {
    if (special.find(c) != std::string_view::npos) out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

/// Inside '...' of zsh: a quote ends, is written, and begins again.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      if (c == '[' || c == ']' || c == ':' || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
  }
  return out;
}

std::string zsh() {
  std::string out =
      "#compdef fut\n"
      "# zsh completion of fut: fut completions zsh > a folder of $fpath/_fut\n"
      "_fut() {\n"
      "  local curcontext=$curcontext state line\n"
      "  local -a commands tasks pools\n"
      "  commands=(\n";
  for (const auto& [first, summary] : first_words()) out += "    '" + first + ":" + zsh_text(summary) + "'\n";
  out += "  )\n  _arguments -C \\\n";
  const auto describe = [](const Option& option) {
    std::string text;
    const std::string rest =
        "[" + zsh_text(option.help) + "]" +
        (option.value.empty() ? std::string()
                              : ":" + zsh_text(option.value) + ":" +
                                    (option.choices.empty() ? "_files" : "(" + std::string(option.choices) + ")"));
    const std::string star = option.repeats ? "*" : "";
    text += "'" + star + "--" + std::string(option.name) + (option.value.empty() ? "" : "=") + rest + "' ";
    if (option.letter != 0)
      text += "'" + star + "-" + std::string(1, option.letter) + (option.value.empty() ? "" : "+") + rest + "' ";
    return text;
  };
  for (const Option& option : global_options()) out += "    " + describe(option) + "\\\n";
  out +=
      "    '1:command:->command' '*::words:->words'\n"
      "  case $state in\n"
      "    command) _describe command commands ;;\n"
      "    words)\n"
      "      case $line[1] in\n";
  for (const auto& [first, summary] : first_words()) {
    const std::string_view completes = completes_of(first);
    out += "        " + first + ")\n          _arguments ";
    each_option(first, [&](const Option& option) { out += "\\\n            " + describe(option); });
    std::string words = words_of(completes);
    std::string thirds;
    each_verb(first, [&](const Verb& verb) {
      if (second_of(verb).empty()) return;
      words += (words.empty() ? "" : " ") + std::string(second_of(verb));
      if (const std::string third = source_of(verb.completes); !third.empty()) {
        thirds += "            " + std::string(second_of(verb)) + ") compadd -- ${(f)\"$(" + third + ")\"} ;;\n";
      }
    });
    if (completes == "command") {
      out += "\\\n            '*::command:_normal'";
    } else if (const std::string source = source_of(completes); !source.empty()) {
      out += "\\\n            '1:" + std::string(completes) + ":(${(f)\"$(" + source + ")\"})' '*:input:_files'";
    } else if (!thirds.empty()) {
      out += "\\\n            '1:word:(" + words + ")'\n          case $words[2] in\n" + thirds + "          esac";
    } else if (!words.empty()) {
      out += "\\\n            '*:word:(" + words + ")'";
    }
    out += " ;;\n";
  }
  out += "      esac ;;\n  esac\n}\nif [ \"$funcstack[1]\" = _fut ]; then _fut \"$@\"; else compdef _fut fut; fi\n";
  return out;
}

std::string fish() {
  std::string out = "# fish completion of fut: fut completions fish | source\ncomplete -c fut -f\n";
  const auto quoted = [](std::string_view text) { return "'" + escaped(text, "'\\") + "'"; };
  std::string firsts;
  for (const auto& [first, summary] : first_words()) firsts += (firsts.empty() ? "" : " ") + first;
  const auto option_line = [&](const std::string& condition, const Option& option) {
    out += "complete -c fut" + condition + " -l " + std::string(option.name);
    if (option.letter != 0) out += " -s " + std::string(1, option.letter);
    if (!option.value.empty()) out += option.choices.empty() ? " -r -F" : " -x -a " + quoted(option.choices);
    out += " -d " + quoted(option.help) + "\n";
  };
  for (const auto& [first, summary] : first_words()) {
    out += "complete -c fut -n '__fish_use_subcommand' -a " + first + " -d " + quoted(summary) + "\n";
  }
  for (const Option& option : global_options()) option_line("", option);
  for (const auto& [first, summary] : first_words()) {
    const std::string condition = " -n '__fish_seen_subcommand_from " + first + "'";
    const std::string_view completes = completes_of(first);
    each_own_option(first, [&](const Option& option) { option_line(condition, option); });
    std::string words = words_of(completes);
    for (const auto& second : second_words(first)) words += (words.empty() ? "" : " ") + second;
    each_verb(first, [&, &name = first](const Verb& verb) {  // a binding cannot be captured by its name alone
      const std::string third = second_of(verb).empty() ? std::string() : source_of(verb.completes);
      if (third.empty()) return;
      out += "complete -c fut -n '__fish_seen_subcommand_from " + name + "; and __fish_seen_subcommand_from " +
             std::string(second_of(verb)) + "' -a '(" + third + ")'\n";
    });
    if (const std::string source = source_of(completes); !source.empty()) {
      out += "complete -c fut" + condition + " -a '(" + source + ")'\n";
    } else if (completes == "command") {
      out += "complete -c fut" + condition + " -a '(__fish_complete_subcommand)'\n";
    } else if (!words.empty()) {
      out += "complete -c fut" + condition + " -a " + quoted(words) + "\n";
    }
  }
  return out;
}

}  // namespace

int completions_verb(Context& context) {
  const std::string& shell = context.first_word("a shell");
  context.at_most(1);
  if (shell == "bash") {
    context.out.write(bash());
  } else if (shell == "zsh") {
    context.out.write(zsh());
  } else if (shell == "fish") {
    context.out.write(fish());
  } else {
    throw Failure(Exit::usage, "there are completions for bash, zsh and fish, not for '" + shell + "'");
  }
  return 0;
}

}  // namespace futured::cli
