# futured_add_plugin(): builds a plugin of futured. The same file serves the source tree and an installed tree.
#
#   futured_add_plugin(NAME fetch
#                      SOURCES fetch.cpp ...
#                      [PROTO fetch.proto]          # messages of the tasks; must say: option optimize_for = LITE_RUNTIME;
#                      [LIBRARIES CURL::libcurl ...]
#                      [OUTPUT_DIRECTORY dir])      # default: <build>/plugins
#
# makes the MODULE library target plugin_fetch, file <build>/plugins/fetch.so, which exports futured_plugin_v1 and
# nothing else. With PROTO it also makes, for the sources to include,
#
#   "fetch/fetch.pb.h"    the lite messages. Their import path begins with the plugin's name, so that two plugins may
#                         both have a messages.proto
#   "fetch_schema.hpp"    static const unsigned char fetch_schema[]: the FileDescriptorSet with all imports
#
# and the OBJECT library plugin_fetch_messages, with which a client or a test can link the same messages.
# All plugins use the lite runtime: full protobuf code in two plugins of one process would collide in its global pool.
include_guard(GLOBAL)

if(NOT TARGET futured::plugin AND NOT TARGET futured_plugin)
  add_library(futured_plugin INTERFACE)
  if(EXISTS "${CMAKE_CURRENT_LIST_DIR}/../include/futured/plugin.h")
    target_include_directories(futured_plugin INTERFACE "$<BUILD_INTERFACE:${CMAKE_CURRENT_LIST_DIR}/../include>")
  else()
    # Installed: <prefix>/<libdir>/cmake/futured/FuturedPlugin.cmake beside <prefix>/include.
    get_filename_component(_futured_prefix "${CMAKE_CURRENT_LIST_DIR}" DIRECTORY)
    while(NOT EXISTS "${_futured_prefix}/include/futured/plugin.h")
      get_filename_component(_futured_parent "${_futured_prefix}" DIRECTORY)
      if(_futured_parent STREQUAL _futured_prefix)
        message(FATAL_ERROR "futured/plugin.h was not found above ${CMAKE_CURRENT_LIST_DIR}: install futured anew")
      endif()
      set(_futured_prefix "${_futured_parent}")
    endwhile()
    target_include_directories(futured_plugin SYSTEM INTERFACE "${_futured_prefix}/include")
  endif()
  add_library(futured::plugin ALIAS futured_plugin)
endif()

function(futured_add_plugin)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;PROTO;OUTPUT_DIRECTORY" "SOURCES;LIBRARIES")
  if(NOT arg_NAME OR NOT arg_SOURCES OR arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR
      "futured_add_plugin: write futured_add_plugin(NAME name SOURCES files... [PROTO file] [LIBRARIES targets...]); "
      "not understood: '${arg_UNPARSED_ARGUMENTS}'")
  endif()
  if(NOT arg_OUTPUT_DIRECTORY)
    set(arg_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/plugins")
  endif()
  set(here "${CMAKE_CURRENT_FUNCTION_LIST_DIR}")
  set(target "plugin_${arg_NAME}")

  add_library(${target} MODULE ${arg_SOURCES})
  if(TARGET futured_plugin)
    target_link_libraries(${target} PRIVATE futured_plugin)
  else()
    target_link_libraries(${target} PRIVATE futured::plugin)
  endif()
  target_link_libraries(${target} PRIVATE ${arg_LIBRARIES})
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  if(CXX IN_LIST languages)
    target_compile_features(${target} PRIVATE cxx_std_20)
  endif()
  set_target_properties(${target} PROPERTIES
    PREFIX "" OUTPUT_NAME "${arg_NAME}" SUFFIX ".so"
    LIBRARY_OUTPUT_DIRECTORY "${arg_OUTPUT_DIRECTORY}"
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    POSITION_INDEPENDENT_CODE ON
    LINK_DEPENDS "${here}/futured_plugin.map")
  target_link_options(${target} PRIVATE
    "LINKER:--version-script=${here}/futured_plugin.map" "LINKER:-Bsymbolic-functions")
  # Sanitizer runtimes are found in the executable, so that a sanitized plugin has undefined symbols.
  if(NOT FUTURED_SANITIZE)
    target_link_options(${target} PRIVATE "LINKER:-z,defs")
  endif()

  if(arg_PROTO)
    find_package(Protobuf REQUIRED)
    get_filename_component(proto "${arg_PROTO}" ABSOLUTE)
    get_filename_component(stem "${arg_PROTO}" NAME_WE)
    file(STRINGS "${proto}" lite REGEX "^[ \t]*option[ \t]+optimize_for[ \t]*=[ \t]*LITE_RUNTIME[ \t]*;")
    if(NOT lite)
      message(FATAL_ERROR "${proto}: add the line 'option optimize_for = LITE_RUNTIME;'. Plugins of futured share a "
        "process; full protobuf messages of two plugins would end it")
    endif()
    string(MAKE_C_IDENTIFIER "${arg_NAME}" symbol)
    set(generated "${CMAKE_CURRENT_BINARY_DIR}/${target}_generated")
    set(staged "${generated}/proto/${arg_NAME}/${stem}.proto")
    set(base "${generated}/cpp/${arg_NAME}/${stem}.pb")
    set(descriptors "${generated}/${symbol}.descriptors")
    set(header "${generated}/cpp/${symbol}_schema.hpp")
    add_custom_command(
      OUTPUT "${base}.cc" "${base}.h" "${header}"
      BYPRODUCTS "${descriptors}" "${staged}"
      COMMAND ${CMAKE_COMMAND} -E make_directory "${generated}/proto/${arg_NAME}" "${generated}/cpp"
      COMMAND ${CMAKE_COMMAND} -E copy "${proto}" "${staged}"
      COMMAND protobuf::protoc -I "${generated}/proto" "--cpp_out=${generated}/cpp"
              "--descriptor_set_out=${descriptors}" --include_imports --include_source_info "${staged}"
      COMMAND ${CMAKE_COMMAND} "-DINPUT=${descriptors}" "-DOUTPUT=${header}" "-DSYMBOL=${symbol}_schema"
              -P "${here}/embed_schema.cmake"
      DEPENDS "${proto}" "${here}/embed_schema.cmake"
      COMMENT "Messages and schema of plugin ${arg_NAME}"
      VERBATIM)
    add_library(${target}_messages OBJECT "${base}.cc" "${header}")
    target_include_directories(${target}_messages SYSTEM PUBLIC "${generated}/cpp")
    target_link_libraries(${target}_messages PUBLIC protobuf::libprotobuf-lite)
    set_target_properties(${target}_messages PROPERTIES
      CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON POSITION_INDEPENDENT_CODE ON)
    target_link_libraries(${target} PRIVATE ${target}_messages)
  endif()
endfunction()
