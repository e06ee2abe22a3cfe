/* SPDX-License-Identifier: MIT */
/* Budgets: what fits into the quick suite. For a night: model_x --limit 10000000 --mode all. */
#ifndef MOIRAI_CORE_TESTS_MODEL_LIMITS_H
#define MOIRAI_CORE_TESTS_MODEL_LIMITS_H

#define EXHAUST .exhaust = true
#define QUICK   .modes = MODEL_DFS | MODEL_PCT, .limit = 60000

#define DEEP    .modes = MODEL_DFS | MODEL_PCT, .bound = 3, .limit = 400000

#endif
