/* docs.html as it is, found by the include path of the build. */
#include "gateway/docs.h"

__asm__(".section .rodata\n"
	".global docs_html\n.global docs_html_end\n"
	"docs_html:\n"
	".incbin \"gateway/docs.html\"\n"
	"docs_html_end:\n"
	".byte 0\n"
	".previous\n");
