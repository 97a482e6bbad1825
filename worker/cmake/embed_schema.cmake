# cmake -DINPUT=file -DOUTPUT=header -DSYMBOL=name -P embed_schema.cmake: a file as a byte array for C and C++.
file(READ "${INPUT}" hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
file(WRITE "${OUTPUT}" "#pragma once\n// A serialized google.protobuf.FileDescriptorSet.\nstatic const unsigned char ${SYMBOL}[] = {\n${bytes}\n};\n")
