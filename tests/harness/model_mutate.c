/* SPDX-License-Identifier: MIT */
/* Order mutation: which accesses have an order, and one of them weakened. */
#include "model_internal.h"

int model_mutate_slow(struct model *m, enum site_kind kind, int order, const void *site)
{
	(void)kind;
	(void)site;
	(void)m;
	return order;
}
