# The edges of the daemon: sockets, processes, files, configuration. daemon/CMakeLists.txt includes this file.
add_library(futured_daemon_edges STATIC
  ${CMAKE_CURRENT_LIST_DIR}/catalog/catalog.cpp
  ${CMAKE_CURRENT_LIST_DIR}/config.cpp
  ${CMAKE_CURRENT_LIST_DIR}/config_file.cpp
  ${CMAKE_CURRENT_LIST_DIR}/config_keys.cpp
  ${CMAKE_CURRENT_LIST_DIR}/log.cpp
  ${CMAKE_CURRENT_LIST_DIR}/process.cpp
  ${CMAKE_CURRENT_LIST_DIR}/supervisor/child.cpp
  ${CMAKE_CURRENT_LIST_DIR}/supervisor/supervisor.cpp
  ${CMAKE_CURRENT_LIST_DIR}/transport/pipes.cpp
  ${CMAKE_CURRENT_LIST_DIR}/transport/router.cpp
  ${CMAKE_CURRENT_LIST_DIR}/transport/transport.cpp)
target_include_directories(futured_daemon_edges PUBLIC
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<BUILD_INTERFACE:${CMAKE_CURRENT_LIST_DIR}/include>)
target_compile_definitions(futured_daemon_edges PRIVATE FUTURED_VERSION="${PROJECT_VERSION}"
  FUTURED_LIBEXECDIR="${CMAKE_INSTALL_FULL_LIBEXECDIR}/futured" FUTURED_BINDIR="${CMAKE_INSTALL_FULL_BINDIR}"
  FUTURED_PLUGINDIR="${CMAKE_INSTALL_FULL_LIBDIR}/futured/plugins")
target_link_libraries(futured_daemon_edges PUBLIC futured_wire
  PRIVATE $<BUILD_INTERFACE:futured_options> PkgConfig::zmq spdlog::spdlog Threads::Threads)
