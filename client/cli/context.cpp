#include "client/cli/context.hpp"

#include <charconv>

namespace futured::cli {

namespace {
std::string usage_of(const Verb& verb) {
  return "fut " + std::string(verb.name) + (verb.words.empty() ? "" : " ") + std::string(verb.words);
}
}  // namespace

const std::string& Context::first_word(std::string_view what) const {
  if (args.words.empty()) {
    throw Failure(Exit::usage,
                  "'fut " + std::string(verb.name) + "' wants " + std::string(what) + ": " + usage_of(verb));
  }
  return args.words.front();
}

void Context::at_most(std::size_t most) const {
  if (args.words.size() > most || !args.after.empty()) {
    const std::string& extra = args.words.size() > most ? args.words[most] : args.after.front();
    throw Failure(Exit::usage,
                  "'fut " + std::string(verb.name) + "' has no use for '" + extra + "': " + usage_of(verb));
  }
}

std::optional<std::uint64_t> Context::count(std::string_view option, std::uint64_t least, std::uint64_t most) const {
  const auto text = args.value(option);
  if (!text) return std::nullopt;
  std::uint64_t number = 0;
  const auto end = std::from_chars(text->data(), text->data() + text->size(), number);
  if (text->empty() || end.ec != std::errc{} || end.ptr != text->data() + text->size() || number < least ||
      number > most) {
    throw Failure(Exit::usage, "option '--" + std::string(option) + "' wants a number from " + std::to_string(least) +
                                   " to " + std::to_string(most) + ", not '" + std::string(*text) + "'");
  }
  return number;
}

Selection Context::selection(bool may_be_empty) {
  if (!may_be_empty) first_word("tasks");
  if (!args.after.empty()) throw Failure(Exit::usage, "'--' has no meaning in a selector");
  return expect(parse_selection(args.words, [this] { return daemon.last(); }));
}

}  // namespace futured::cli
