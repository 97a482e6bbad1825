#include <futured/executor.hpp>
#include <iostream>

int main() {
  auto executor = futured::Executor::connect();
  auto loud = executor.submit("shout", "hello");
  auto same = executor.submit("echo", "hello");
  std::cout << loud.result() << ' ' << same.result() << '\n';
}
