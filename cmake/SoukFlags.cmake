# Compiler and linker flags. Everything goes through the interface library souk_flags, so generated code can do without.
include(CheckCCompilerFlag)
include(CheckPIESupported)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
check_pie_supported(LANGUAGES C)

find_program(SOUK_CCACHE ccache)
if(SOUK_CCACHE AND NOT CMAKE_C_COMPILER_LAUNCHER)
	set(CMAKE_C_COMPILER_LAUNCHER ${SOUK_CCACHE})
endif()

# Ours alone decides, not cmake's defaults (-O3, -DNDEBUG).
set(CMAKE_C_FLAGS_DEBUG "-O1 -g -fno-omit-frame-pointer -DSOUK_DEBUG=1")
set(CMAKE_C_FLAGS_RELEASE "-O2 -g1 -fno-omit-frame-pointer")

add_library(souk_flags INTERFACE)
target_compile_options(souk_flags INTERFACE
	-Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wconversion -Wno-sign-conversion
	-Wvla -Wformat=2 -Wno-format-nonliteral)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
	# snprintf into a bounded field is how long texts are cut; the warning depends on -O besides.
	target_compile_options(souk_flags INTERFACE -Wno-format-truncation)
endif()
if(SOUK_WERROR)
	target_compile_options(souk_flags INTERFACE -Werror)
endif()

# The sanitizers and hardening apply to generated code as well.
add_library(souk_build INTERFACE)
target_compile_definitions(souk_build INTERFACE _GNU_SOURCE SOUK_VERSION="${PROJECT_VERSION}")
target_include_directories(souk_build INTERFACE ${CMAKE_SOURCE_DIR})
target_link_options(souk_build INTERFACE -Wl,--as-needed)

if(SOUK_FUZZ)
	if(NOT CMAKE_C_COMPILER_ID MATCHES Clang)
		message(FATAL_ERROR "SOUK_FUZZ needs clang: cmake -DCMAKE_C_COMPILER=clang -DSOUK_FUZZ=ON")
	endif()
	set(SOUK_SAN -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined)
elseif(SOUK_TSAN)
	set(SOUK_SAN -fsanitize=thread)
elseif(CMAKE_BUILD_TYPE STREQUAL "Debug")
	set(SOUK_SAN -fsanitize=address,undefined -fno-sanitize-recover=undefined)
endif()
if(SOUK_SAN)
	target_compile_options(souk_build INTERFACE ${SOUK_SAN})
	target_link_options(souk_build INTERFACE ${SOUK_SAN})
	target_compile_definitions(souk_build INTERFACE SOUK_SANITIZED=1)
endif()

if(CMAKE_BUILD_TYPE STREQUAL "Release")
	foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection=full -mbranch-protection=standard
			-ftrivial-auto-var-init=zero)
		string(MAKE_C_IDENTIFIER "HAVE${flag}" var)
		check_c_compiler_flag("${flag} -Werror" ${var})
		if(${var})
			target_compile_options(souk_build INTERFACE ${flag})
		endif()
	endforeach()
	check_c_compiler_flag("-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -Werror" HAVE_FORTIFY_3)
	if(HAVE_FORTIFY_3 AND NOT (CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_C_COMPILER_VERSION VERSION_LESS 12))
		target_compile_options(souk_build INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
	else()
		target_compile_options(souk_build INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
	endif()
	target_link_options(souk_build INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
endif()

# The C files of a folder; the glob is looked at again at each build.
function(souk_glob out)
	file(GLOB found CONFIGURE_DEPENDS ${ARGN})
	list(FILTER found EXCLUDE REGEX "/[.#]")
	list(SORT found)
	set(${out} "${found}" PARENT_SCOPE)
endfunction()
