# Libraries from Debian packages (deploy/packages.txt). Those without a pkg-config file are searched by name.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(souk_find_pkg name module)
	pkg_check_modules(${name} IMPORTED_TARGET ${module})
	if(NOT ${name}_FOUND)
		message(FATAL_ERROR "library ${module} is missing: run deploy/install-packages.sh")
	endif()
	add_library(souk::${name} ALIAS PkgConfig::${name})
endfunction()

function(souk_find_lib name header)
	find_path(${name}_INCLUDE ${header})
	find_library(${name}_LIBRARY ${name})
	if(NOT ${name}_INCLUDE OR NOT ${name}_LIBRARY)
		message(FATAL_ERROR "library ${name} is missing: run deploy/install-packages.sh")
	endif()
	add_library(souk::${name} UNKNOWN IMPORTED GLOBAL)
	set_target_properties(souk::${name} PROPERTIES IMPORTED_LOCATION ${${name}_LIBRARY}
		INTERFACE_INCLUDE_DIRECTORIES ${${name}_INCLUDE})
endfunction()

souk_find_pkg(pq libpq)
souk_find_pkg(protobufc libprotobuf-c)
souk_find_pkg(hiredis hiredis)
souk_find_pkg(curl libcurl)
souk_find_pkg(crypto libcrypto)
souk_find_pkg(argon2 libargon2)
souk_find_pkg(z zlib)
souk_find_pkg(jansson jansson)
souk_find_lib(nng nng/nng.h)
souk_find_lib(civetweb civetweb.h)
# LAPACK is inside. As an archive for images: what is not called stays out, and the kernels that several processors share are
# kept once (gold folds them), 12 MB instead of the 56 of the shared library and its Fortran.
option(SOUK_STATIC_BLAS "link OpenBLAS into souk-reco" OFF)
if(SOUK_STATIC_BLAS)
	find_library(openblas_LIBRARY libopenblas.a REQUIRED)
endif()
souk_find_lib(openblas cblas.h)
if(SOUK_STATIC_BLAS)
	set_target_properties(souk::openblas PROPERTIES INTERFACE_LINK_LIBRARIES Threads::Threads
		INTERFACE_LINK_OPTIONS "-fuse-ld=gold;-Wl,--gc-sections,--icf=all")
endif()
souk_find_lib(stemmer libstemmer.h)
if(SOUK_TESTS)
	souk_find_pkg(cmocka cmocka)
	souk_find_pkg(ssl libssl) # a TLS server in a test; the product speaks TLS through its libraries
endif()

find_program(SOUK_PROTOC_C protoc-c)
if(NOT SOUK_PROTOC_C)
	message(FATAL_ERROR "protoc-c is missing: run deploy/install-packages.sh")
endif()
