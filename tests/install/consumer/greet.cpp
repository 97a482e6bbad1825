#include <futured/executor.hpp>
#include <iostream>

int main() {
  try {
    auto executor = futured::Executor::connect();
    auto loud = executor.submit("shout", "hello");
    auto same = executor.submit("echo", "hello");
    std::cout << loud.result() << ' ' << same.result() << '\n';
  } catch (const futured::Error& e) {  // no daemon there, a task that failed, ...
    std::cerr << e.what() << '\n';
    return 1;
  }
}
