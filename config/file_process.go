package config

import "time"

// Process is a program that runs tasks.
type Process struct {
	Command     []string
	CWD         string // empty: ours
	Env         map[string]string
	EnvInherit  []string `mapstructure:"env_inherit"`
	Secrets     map[string]ProcessSecret
	User, Group string // empty: ours
	Nice        int
	OOMScoreAdj int               `mapstructure:"oom_score_adj"`
	Rlimits     map[string]uint64 // the largest number is no limit
	Cgroup      Cgroup
	KillScope   string `mapstructure:"kill_scope"`
	Transport   string // empty with mode oneshot
}

// ProcessSecret is a variable whose value is not shown. Either File or Env is set.
type ProcessSecret struct {
	File, Env string
	Value     Secret `mapstructure:"-"` // as it was when the configuration was read
}

// Cgroup is the limits of a process with all that it starts; 0 is none.
type Cgroup struct {
	MemoryMax int     `mapstructure:"memory_max"` // bytes
	PIDsMax   int     `mapstructure:"pids_max"`
	CPUMax    float64 `mapstructure:"cpu_max"` // CPUs
}

// Size is how many processes there are.
type Size struct {
	Min, Max, Spare int
	Mode            string        // static or dynamic
	IdleTTL         time.Duration `mapstructure:"idle_ttl"`
	ScaleUpAfter    time.Duration `mapstructure:"scale_up_after"`
	MaxStarting     int           `mapstructure:"max_starting"` // 0: as many as there are CPUs
}

// Recycle is when a process is replaced; 0 is never.
type Recycle struct {
	MaxTasks   int `mapstructure:"max_tasks"`
	MaxRSS     int `mapstructure:"max_rss"`      // bytes
	MaxRSSHard int `mapstructure:"max_rss_hard"` // bytes
	Lifetime   time.Duration
	Jitter     float64 // 0..1
}

// Logs is what becomes of what a process prints.
type Logs struct {
	MaxLine int     `mapstructure:"max_line"` // bytes
	Rate    float64 // lines a second; 0: no limit
	Burst   int
	Parse   string // auto or text
	Tail    int
}

// Reload is how processes are replaced by those of a new configuration.
type Reload struct {
	Surge      int
	MaxUnready int `mapstructure:"max_unready"`
}
