# <dir>/migrations/NNNN_slug.sql -> a C file with `const struct migration <name>_migrations[]` (common/migrate.h)
function(souk_embed_migrations out name dir)
	souk_glob(files ${dir}/migrations/*.sql)
	set(target ${CMAKE_BINARY_DIR}/gen/${name}_migrations.c)
	set(listfile ${CMAKE_BINARY_DIR}/gen/${name}_migrations.list)
	string(JOIN "\n" text ${files})
	file(CONFIGURE OUTPUT ${listfile} CONTENT "${text}" @ONLY)
	add_custom_command(
		OUTPUT ${target}
		COMMAND ${CMAKE_COMMAND} -DNAME=${name} -DLIST=${listfile} -DOUT=${target}
			-P ${CMAKE_SOURCE_DIR}/cmake/embed_migrations.cmake
		DEPENDS ${files} ${listfile} ${CMAKE_SOURCE_DIR}/cmake/embed_migrations.cmake
		COMMENT "migrations of ${name}"
		VERBATIM)
	set(${out} ${target} PARENT_SCOPE)
endfunction()
