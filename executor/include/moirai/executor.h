/* SPDX-License-Identifier: MIT */
/*
 * All of executor: tasks that start as cheaply as a function call and may block as freely as a
 * thread.
 *
 *     static void hello(void *arg) { moirai_sleep_for(10 * MOIRAI_MS); puts(arg); }
 *
 *     moirai_executor *ex;
 *     moirai_task *t;
 *     if (moirai_executor_create(&ex, NULL) < 0)
 *             return 1;
 *     if (moirai_spawn(ex, NULL, hello, "hello from a task", &t) == 0)
 *             moirai_task_join(t, NULL);
 *     return moirai_executor_destroy(ex);
 */
#ifndef MOIRAI_EXECUTOR_H
#define MOIRAI_EXECUTOR_H

#include <moirai/core.h>
#include <moirai/executor/blocking.h>
#include <moirai/executor/here.h>
#include <moirai/executor/pool.h>
#include <moirai/executor/task.h>

#endif
