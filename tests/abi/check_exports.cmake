# cmake -DNM=nm "-DFILES=a.so;b.so" -P check_exports.cmake: each file exports futured_plugin_v1 and nothing else.
foreach(file IN LISTS FILES)
  execute_process(COMMAND "${NM}" -D --defined-only --format=posix "${file}" OUTPUT_VARIABLE symbols
                  COMMAND_ERROR_IS_FATAL ANY)
  if(NOT symbols MATCHES "^futured_plugin_v1 T [^\n]*\n$")
    message(SEND_ERROR "${file} exports more or less than futured_plugin_v1:\n${symbols}")
  endif()
endforeach()
