# proto/*.proto -> <build>/gen/*.pb-c.[ch] -> souk_proto
function(souk_add_proto)
	set(gen ${CMAKE_BINARY_DIR}/gen)
	file(MAKE_DIRECTORY ${gen})
	souk_glob(protos ${CMAKE_SOURCE_DIR}/proto/*.proto)
	set(sources)
	foreach(proto ${protos})
		get_filename_component(stem ${proto} NAME_WE)
		# Any contract may import any other, so each depends on all; a run takes milliseconds.
		add_custom_command(
			OUTPUT ${gen}/${stem}.pb-c.c ${gen}/${stem}.pb-c.h
			COMMAND ${SOUK_PROTOC_C} -I ${CMAKE_SOURCE_DIR}/proto --c_out=${gen} ${proto}
			DEPENDS ${protos}
			COMMENT "protoc-c ${stem}.proto"
			VERBATIM)
		list(APPEND sources ${gen}/${stem}.pb-c.c)
	endforeach()
	if(NOT sources)
		add_library(souk_proto INTERFACE)
		target_include_directories(souk_proto SYSTEM INTERFACE ${gen})
		return()
	endif()
	add_library(souk_proto STATIC ${sources})
	target_compile_options(souk_proto PRIVATE -w)
	target_include_directories(souk_proto SYSTEM PUBLIC ${gen})
	target_link_libraries(souk_proto PRIVATE souk_build PUBLIC souk::protobufc)
	# Sources that include a generated header must wait for it.
	add_custom_target(souk_proto_headers DEPENDS ${sources})
endfunction()
