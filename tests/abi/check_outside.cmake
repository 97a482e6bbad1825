# cmake -DSOURCE=<repository> -DBINARY=<scratch> -DGENERATOR=... -P check_outside.cmake
# A plugin of somebody else: built by futured_add_plugin from an installed tree, outside this one; once with C++ and
# messages, once in plain C without any of futured's CMake.
file(REMOVE_RECURSE "${BINARY}")
set(prefix "${BINARY}/prefix")
file(COPY "${SOURCE}/worker/include/futured/plugin.h" "${SOURCE}/worker/include/futured/plugin.hpp"
     "${SOURCE}/worker/include/futured/plugin_call.hpp"
     DESTINATION "${prefix}/include/futured")
file(COPY "${SOURCE}/worker/cmake/FuturedPlugin.cmake" "${SOURCE}/worker/cmake/embed_schema.cmake"
     "${SOURCE}/worker/cmake/futured_plugin.map" DESTINATION "${prefix}/lib/cmake/futured")
file(COPY "${SOURCE}/worker/plugins/primes/primes.proto" "${SOURCE}/worker/plugins/primes/primes.cpp"
     "${SOURCE}/worker/plugins/echo.c" DESTINATION "${BINARY}/project")
file(WRITE "${BINARY}/project/CMakeLists.txt" "cmake_minimum_required(VERSION 3.25)
project(outside LANGUAGES C CXX)
find_package(Protobuf REQUIRED)
include(\"${prefix}/lib/cmake/futured/FuturedPlugin.cmake\")
futured_add_plugin(NAME primes SOURCES primes.cpp PROTO primes.proto)
futured_add_plugin(NAME echo SOURCES echo.c)
")
execute_process(COMMAND "${CMAKE_COMMAND}" -S "${BINARY}/project" -B "${BINARY}/build" -G "${GENERATOR}"
                "-DCMAKE_CXX_COMPILER=${CXX}" "-DCMAKE_C_COMPILER=${CC}" COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
execute_process(COMMAND "${CMAKE_COMMAND}" --build "${BINARY}/build" COMMAND_ERROR_IS_FATAL ANY OUTPUT_QUIET)
execute_process(COMMAND "${CC}" -std=c11 -pedantic -Wall -Werror -shared -fPIC -fvisibility=hidden
                "-I${prefix}/include" -o "${BINARY}/build/plugins/plain.so" "${BINARY}/project/echo.c"
                COMMAND_ERROR_IS_FATAL ANY)
set(FILES "${BINARY}/build/plugins/primes.so" "${BINARY}/build/plugins/echo.so" "${BINARY}/build/plugins/plain.so")
include("${SOURCE}/tests/abi/check_exports.cmake")
