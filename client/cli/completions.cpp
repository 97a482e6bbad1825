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

/// The last of the verbs with this first word; there is one.
const Verb& last_verb(std::string_view first) {
  const auto all = verbs();
  const Verb* last = &*all.begin();
  for (const Verb& v : all) {
    if (v.name.substr(0, v.name.find(' ')) == first) last = &v;
  }
  return *last;
}

template <class F>
void each_option(const Verb& verb, F f) {
  for (const Option& option : global_options()) f(option);
  for (const auto& table : verb.options) {
    for (const Option& option : table) f(option);
  }
}

std::string options_of(const Verb& verb) {
  std::string out = "--help";
  each_option(verb, [&](const Option& option) { out += " --" + std::string(option.name); });
  return out;
}

/// What a shell runs for words that only the daemon knows.
std::string source_of(std::string_view completes) {
  if (completes == "task") return "fut catalog -q 2>/dev/null";
  if (completes == "pool") return "fut pool list -q 2>/dev/null";
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
      "  case $prev in\n"
      "    --color) COMPREPLY=($(compgen -W 'auto always never' -- \"$cur\")); return ;;\n"
      "    --on-disconnect) COMPREPLY=($(compgen -W 'keep cancel' -- \"$cur\")); return ;;\n"
      "    --pool) COMPREPLY=($(compgen -W \"$(fut pool list -q 2>/dev/null)\" -- \"$cur\")); return ;;\n"
      "    --input-file) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
      "    --plugin-dir|-C|--directory) COMPREPLY=($(compgen -d -- \"$cur\")); return ;;\n"
      "  esac\n"
      "  case $verb in\n";
  std::string firsts;
  for (const auto& [first, summary] : first_words()) {
    firsts += (firsts.empty() ? "" : " ") + first;
    std::string options;
    std::string words;
    std::string source;
    std::string_view completes;
    for (const Verb& verb : verbs()) {
      if (verb.name.substr(0, verb.name.find(' ')) != first) continue;
      options = options_of(verb);
      completes = verb.completes;
      source = source_of(completes);
      words = words_of(completes);
    }
    const auto seconds = second_words(first);
    for (const auto& second : seconds) words += (words.empty() ? "" : " ") + second;
    out +=
        "    " + first + ")\n      if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W '" + options + "' -- \"$cur\"))\n";
    if (completes == "command") {
      out += "      else COMPREPLY=($(compgen -c -- \"$cur\") $(compgen -f -- \"$cur\"))\n";
    } else if (!source.empty()) {
      out += "      elif [[ -z $sub ]]; then COMPREPLY=($(compgen -W \"$(" + source + ")\" -- \"$cur\"))\n";
    } else if (!words.empty()) {
      out += std::string("      ") + (seconds.empty() ? "else" : "elif [[ -z $sub ]]; then") +
             " COMPREPLY=($(compgen -W '" + words + "' -- \"$cur\"))\n";
    }
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
    const Verb& verb = last_verb(first);
    out += "        " + first + ")\n          _arguments ";
    each_option(verb, [&](const Option& option) { out += "\\\n            " + describe(option); });
    const auto seconds = second_words(first);
    std::string words = words_of(verb.completes);
    for (const auto& second : seconds) words += (words.empty() ? "" : " ") + second;
    if (verb.completes == "command") {
      out += "\\\n            '*::command:_normal'";
    } else if (const std::string source = source_of(verb.completes); !source.empty()) {
      out += "\\\n            '1:" + std::string(verb.completes) + ":(${(f)\"$(" + source + ")\"})' '*:input:_files'";
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
    const Verb& verb = last_verb(first);
    for (const auto& table : verb.options) {
      for (const Option& option : table) option_line(condition, option);
    }
    std::string words = words_of(verb.completes);
    for (const auto& second : second_words(first)) words += (words.empty() ? "" : " ") + second;
    if (const std::string source = source_of(verb.completes); !source.empty()) {
      out += "complete -c fut" + condition + " -a '(" + source + ")'\n";
    } else if (verb.completes == "command") {
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
