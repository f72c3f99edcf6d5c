package config

import "strings"

// workerKeys are about the workers of a process pool.
func workerKeys() []key {
	process := []string{modeProcess}
	rows := append(sizeKeys(), []key{
		{
			path: "pools.<pool>.concurrency", kind: whole, def: "1", lo: "1", hi: "10000", modes: process, hint: "use slots",
			doc: "Tasks that one process runs at once.",
		},
		{
			path: "pools.<pool>.pipeline", kind: whole, rule: "concurrency", lo: "1", hi: "10000", shown: "1", modes: process, hint: "use slots",
			doc: "Tasks that one process is given at once, those that wait in its pipe included. More than concurrency saves it the wait for the next one, " +
				"and has that one wait for the one before.",
		},
		{
			path: "pools.<pool>.start_timeout", kind: duration, def: "10s", lo: "1ms", hi: "1h", modes: process,
			doc: "How long a process may take from its start to its hello. What it waits for a processor is given back, up to five times this.",
		},
		{
			path: "pools.<pool>.watchdog", kind: duration, def: "0s", lo: "0s", hi: "24h", modes: process,
			doc: "A busy worker that can beat and says nothing for this long is stopped as one that hangs; 0s is never.",
		},
		{
			path: "pools.<pool>.max_lost", kind: whole, def: "3", lo: "1", hi: "1000", modes: withProcess(),
			doc: "A task whose process has died under it this often is dead-lettered, with what is known about the death.",
		},
	}...)
	rows = append(rows, quarantineKeys()...)
	rows = append(rows, recycleKeys()...)
	rows = append(rows, logKeys()...)
	rows = append(rows,
		key{path: "pools.<pool>.reload", kind: section, modes: process, doc: "How processes are replaced when a reload has changed what they are made of."},
		key{
			path: "pools.<pool>.reload.surge", kind: whole, def: "1", lo: "1", hi: "1",
			beyond: "processes are replaced one after the other in this version",
			doc:    "New processes that are started before as many old ones are stopped.",
		},
		key{
			path: "pools.<pool>.reload.max_unready", kind: whole, def: "2", lo: "1", hi: "1000",
			doc: "After this many new ones that were not ready in time the replacement is given up, and the old ones stay.",
		})
	return onlyFor("resize", rows)
}

// sizeKeys say how many processes there are.
func sizeKeys() []key {
	return []key{
		{
			path: "pools.<pool>.size", kind: section, optional: true, modes: []string{modeProcess}, hint: "use workers",
			doc: "How many processes there are, when not always the same number: then in place of workers.",
		},
		{
			path: "pools.<pool>.size.min", kind: whole, rule: "1; max with mode static", lo: "1", hi: "10000", shown: "1",
			doc: "At least this many.",
		},
		{path: "pools.<pool>.size.max", kind: whole, required: true, lo: "1", hi: "10000", shown: "8", doc: "At most this many."},
		{path: "pools.<pool>.size.spare", kind: whole, def: "0", lo: "0", hi: "10000", doc: "Idle processes that are kept ready above min."},
		{
			path: "pools.<pool>.size.mode", kind: text, def: "dynamic", enum: []string{"static", "dynamic"},
			later: map[string]string{"ondemand": "a pool keeps at least one process; use dynamic with min: 1"},
			doc:   "static: always max. dynamic: between min and max, as the load has it.",
		},
		{
			path: "pools.<pool>.size.idle_ttl", kind: duration, def: "60s", lo: "1ms", hi: "24h",
			doc: "A process above min and spare that has had nothing to do for this long is stopped.",
		},
		{
			path: "pools.<pool>.size.scale_up_after", kind: duration, def: "200ms", lo: "1ms", hi: "1h",
			doc: "Messages wait this long before a process is added.",
		},
		{
			path: "pools.<pool>.size.max_starting", kind: whole, rule: "the number of CPUs", lo: "1", hi: "10000", shown: "2",
			doc: "Processes that may be starting at once; after three failed starts in a row it is one.",
		},
	}
}

// onlyFor has the rows that are directly below a pool shown for that one only.
func onlyFor(pool string, rows []key) []key {
	for i := range rows {
		if strings.Count(rows[i].path, ".") == 2 {
			rows[i].only = pool
		}
	}
	return rows
}

func quarantineKeys() []key {
	const at = "pools.<pool>.quarantine"
	return []key{
		{
			path: at, kind: section, modes: []string{modeProcess},
			doc: "Where suspects run: tasks whose process has died. With concurrency above 1 any task of that process may be to blame, so each of them runs alone " +
				"in a process before anything is held against it.",
		},
		{
			path: at + ".slots", kind: whole, def: "1", lo: "0", hi: "10000",
			doc: "Processes that are kept for suspects while other tasks wait, and never all of several; 0: suspects run like all others, and the death of a " +
				"process counts against all that it ran.",
		},
	}
}

func recycleKeys() []key {
	const at = "pools.<pool>.recycle"
	return []key{
		{path: at, kind: section, modes: []string{modeProcess}, doc: "When a process is replaced by a new one, which is started first. That is no failure and counts as no restart."},
		{path: at + ".max_tasks", kind: whole, def: "0", lo: "0", hi: "1000000000", doc: "After this many tasks; 0 is never."},
		{path: at + ".max_rss", kind: size, def: "0", lo: "0", hi: "1024GiB", doc: "After a task, when it and what it started have more memory than this; 0 is never."},
		{path: at + ".max_rss_hard", kind: size, def: "0", lo: "0", hi: "1024GiB", doc: "With more memory than this it is killed in the middle of its task; 0 is never."},
		{path: at + ".lifetime", kind: duration, def: "0s", lo: "0s", hi: "8760h", doc: "After this long; 0s is never."},
		{path: at + ".jitter", kind: number, def: "0.15", lo: "0", hi: "1", doc: "Moves max_tasks and lifetime by up to this share, so that not all are replaced at once."},
	}
}

func logKeys() []key {
	const at = "pools.<pool>.logs"
	return []key{
		{path: at, kind: section, modes: withProcess(), doc: "What becomes of what a process prints to stdout and stderr: each line is a log line."},
		{path: at + ".max_line", kind: size, def: "16KiB", lo: "64B", hi: "1MiB", doc: "A longer line is cut."},
		{path: at + ".rate", kind: rate, def: "500/s", lo: "0/s", hi: "1000000/s", doc: "More lines than this are dropped and counted; 0/s is no limit."},
		{path: at + ".burst", kind: whole, def: "1000", lo: "1", hi: "1000000", doc: "Lines above the rate that are let through at once."},
		{
			path: at + ".parse", kind: text, def: "auto", enum: []string{"auto", "text"},
			doc: "auto: a line that is a JSON object is taken apart into level, message and attributes. text: a line is text.",
		},
		{path: at + ".tail", kind: whole, def: "64", lo: "1", hi: "10000", doc: "Lines that are kept for the report of a death."},
	}
}

// processKeys describe an OS process.
func processKeys() []key {
	const at = "pools.<pool>.process"
	rows := []key{
		{
			path: at, kind: section, optional: true, modes: withProcess(),
			doc: "The program that runs the tasks.",
		},
		{path: at + ".command", kind: list, required: true, shown: "[python3, -u, worker.py]", doc: "The program, looked up in PATH or in cwd, and its arguments. No shell is involved."},
		{
			path: at + ".cwd", kind: text, rule: "that of magne-actors", pattern: `^[^\x00]+$`, patternDoc: "a path", doc: "Its working directory.",
			others: []string{"dir", "directory", "workdir", "working_dir", "working_directory", "chdir"},
		},
		{path: at + ".env", kind: names, doc: "Variables of its environment."},
		{
			path: at + ".env.<variable>", kind: text, sample: "PYTHONUNBUFFERED", shown: `"1"`,
			word: variablePattern, wordDoc: "letters, digits and _", doc: "Value of the variable, in quotes when it is a number.",
		},
		{
			path: at + ".env_inherit", kind: list, def: "[PATH, LANG, TZ]",
			doc: "Names of the variables of magne-actors that it gets too. Nothing else is inherited.",
		},
		{path: at + ".secrets", kind: names, doc: "Variables whose values are never shown; in what the process prints they are replaced as well."},
		{
			path: at + ".secrets.<variable>", kind: section, sample: "DB_PASSWORD", word: variablePattern, wordDoc: "letters, digits and _",
			doc: "Where the value comes from: exactly one of file and env. A reload reads it again.",
		},
		{path: at + ".secrets.<variable>.file", kind: text, pattern: `^[^\x00]+$`, patternDoc: "a path", doc: "A file that contains the value; the newline at its end does not belong to it."},
		{path: at + ".secrets.<variable>.env", kind: text, pattern: variablePattern, patternDoc: "the name of a variable", shown: "DB_PASSWORD", doc: "A variable of magne-actors."},
		{path: at + ".user", kind: text, rule: "that of magne-actors", pattern: `^[^\x00:/]+$`, patternDoc: "a name or a number in quotes", doc: "Who it runs as; needs root."},
		{path: at + ".group", kind: text, rule: "that of user", pattern: `^[^\x00:/]+$`, patternDoc: "a name or a number in quotes", doc: "Its group; needs root."},
		{path: at + ".nice", kind: whole, def: "0", lo: "-20", hi: "19", doc: "Added to the niceness of magne-actors; above 0 it yields to others."},
		{path: at + ".oom_score_adj", kind: whole, def: "0", lo: "-1000", hi: "1000", doc: "Above 0 the kernel takes it rather than others when memory runs out; 0 leaves what magne-actors has."},
		{path: at + ".rlimits", kind: names, doc: "Resource limits, soft and hard; see man 2 setrlimit. The one for core is 0 when it is not set."},
		{
			path: at + ".rlimits.<limit>", kind: size, lo: "0", hi: "1048576GiB", sample: "nofile", shown: "1024", words: map[string]any{"unlimited": ^uint64(0)},
			word:    `^(as|core|cpu|data|fsize|locks|memlock|msgqueue|nice|nofile|nproc|rss|rtprio|rttime|sigpending|stack)$`,
			wordDoc: "as, core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending or stack",
			doc:     "A limit in its own unit: bytes for as, core, data, fsize, memlock, rss and stack, seconds for cpu.",
		},
	}
	return onlyFor("resize", append(rows, scopeKeys(at)...))
}

// variablePattern is that of the name of an environment variable.
const variablePattern = `^[A-Za-z_][A-Za-z0-9_]*$`

// scopeKeys say what belongs to a process.
func scopeKeys(at string) []key {
	return []key{
		{path: at + ".cgroup", kind: section, doc: "Limits for the process and all that it starts. They need a cgroup v2 that was delegated to magne-actors (Delegate=yes of systemd); without it they are left out."},
		{path: at + ".cgroup.memory_max", kind: size, def: "0", lo: "0", hi: "1024GiB", doc: "Memory; with more the kernel kills the process and all that it started. 0 is no limit."},
		{path: at + ".cgroup.pids_max", kind: whole, def: "0", lo: "0", hi: "4194304", doc: "Processes and threads; 0 is no limit."},
		{path: at + ".cgroup.cpu_max", kind: percent, def: "0%", lo: "0%", hi: "102400%", doc: "CPU time; 150% is one and a half CPUs, 0% is no limit."},
		{
			path: at + ".kill_scope", kind: text, def: "auto", enum: []string{"auto", "cgroup", "group", "process"},
			later: map[string]string{"pidns": "a PID namespace needs root and an init of its own in it; cgroup kills everything as well, and group all descendants"},
			doc: "What is killed with a process. cgroup: all in its cgroup. group: its process group and its descendants. process: itself only. " +
				"auto: cgroup where there is a delegated one, else group.",
		},
		{
			path: at + ".transport", kind: text, def: "pipes", enum: []string{"pipes", "stdio"}, modes: []string{modeProcess},
			doc: "pipes: tasks come on descriptor 3, replies go to 4. stdio: for what cannot open those, 0 and 1; then only stderr is the log.",
		},
	}
}
