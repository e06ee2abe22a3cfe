/* SPDX-License-Identifier: MIT */
/* Uses one component alone, utils, with what it needs. */
#include <moirai/utils.h>
#include <stdio.h>

int main(void)
{
	printf("%u processors usable\n", moirai_os_cpus_usable());
	return moirai_os_cpus_usable() == 0;
}
