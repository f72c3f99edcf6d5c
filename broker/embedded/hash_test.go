package embedded

import (
	"strings"
	"testing"
	"time"
)

func TestHashPassword(t *testing.T) {
	h, err := HashPassword("secret")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Validate(); err != nil {
		t.Errorf("%v of our own hash", err)
	}
	if !h.matches("secret") || h.matches("Secret") || h.matches("") {
		t.Error("matches the wrong ones")
	}
	if other, _ := HashPassword("secret"); other == h {
		t.Error("no salt")
	}
	if _, err := HashPassword(""); err == nil {
		t.Error("an empty password has a hash")
	}
}

// TestForeignHashes: bcrypt by htpasswd, argon2id by the argon2 program.
func TestForeignHashes(t *testing.T) {
	for h, password := range map[Hash]string{
		"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW":                         "U*U",
		"$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW":                         "U*U",
		"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4": "password",
	} {
		if err := h.Validate(); err != nil {
			t.Errorf("%s: %v", h, err)
		}
		if !h.matches(password) || h.matches(password+"x") {
			t.Errorf("%s: matches the wrong ones", h)
		}
	}
}

func TestInvalidHashes(t *testing.T) {
	const salt, key = "c29tZXNhbHQ", "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	for _, h := range []string{
		"", "guest", "$1$abc", "{SHA}x", strings.Repeat("$", 60),
		"$2a$03$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$2a$16$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$2a$05$CCCCCCCCCCCCCCCCCCCCC!E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
		"$argon2i$v=19$m=256,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=16$m=256,t=2,p=1$" + salt + "$" + key,
		"$argon2id$m=256,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=256,t=2$" + salt + "$" + key,
		"$argon2id$v=19$t=2,m=256,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=0256,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=+256,t=2,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=262145,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=262144,t=5,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=256,t=0,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=256,t=17,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=8,t=1,p=2$" + salt + "$" + key,
		"$argon2id$v=19$m=256,t=2,p=0$" + salt + "$" + key,
		"$argon2id$v=19$m=256,t=2,p=1$$" + key,
		"$argon2id$v=19$m=256,t=2,p=1$" + salt + "==$" + key,
		"$argon2id$v=19$m=256,t=2,p=1$" + salt + "$",
		"$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + key + "\n",
		"$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + key + "$x",
	} {
		err := Hash(h).Validate()
		if err == nil {
			t.Errorf("%q is valid", h)
		} else if strings.Contains(err.Error(), key) {
			t.Errorf("%q is quoted: %v", h, err)
		}
	}
}

// TestUnknownUser takes as long as a wrong password.
func TestUnknownUser(t *testing.T) {
	h, err := HashPassword("secret")
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthenticator(map[string]Hash{"ann": h})
	cost := func(user string) time.Duration {
		best := time.Hour
		for range 3 {
			start := time.Now()
			if a.check(user, "wrong", nil) == "" {
				t.Errorf("%s may log in", user)
			}
			best = min(best, time.Since(start))
		}
		return best
	}
	known, unknown := cost("ann"), cost("bob")
	if unknown < known/3 {
		t.Errorf("unknown user: %v, known: %v", unknown, known)
	}
}
