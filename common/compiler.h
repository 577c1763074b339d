/* Attributes and small macros shared by every file. */
#ifndef SOUK_COMPILER_H
#define SOUK_COMPILER_H

#define MUST_CHECK	  __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define NORETURN	  __attribute__((noreturn))
#define UNUSED		  __attribute__((unused))
#define RETURNS_NONNULL	  __attribute__((returns_nonnull))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
