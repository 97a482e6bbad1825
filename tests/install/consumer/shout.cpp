#include <futured/plugin.hpp>
#include <string>

using namespace futured::plugin;

std::string shout(std::string_view input) {
  std::string loud(input);
  for (char& c : loud) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return loud;
}

FUTURED_PLUGIN("shout", "1.0", blocking<shout>("shout", "its input in capitals"))
