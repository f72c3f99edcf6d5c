package embedded

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Hash is the hash of a password, in one of two forms:
//
//	$2a$10$...                                    bcrypt, cost 4 to 15; also $2b$, $2y$
//	$argon2id$v=19$m=65536,t=3,p=2$salt$hash      argon2id; both parts base64 without padding
//
// HashPassword makes one.
type Hash string

// Bounds of what one login may cost: somebody who knows no password can ask for
// it as well. At the upper ends it is about a second of one processor.
const (
	maxBcryptCost   = 15
	maxArgonMemory  = 256 << 10 // KiB
	maxArgonTime    = 16
	maxArgonThreads = 16
	maxArgonWork    = 1 << 20 // memory times time
)

// The parameters of HashPassword: the second recommended option of RFC 9106.
const (
	argonMemory  = 64 << 10
	argonTime    = 3
	argonThreads = 4
	argonSalt    = 16
	argonKey     = 32
)

// HashPassword returns an argon2id hash of a password. It takes some 100 ms and
// 64 MiB.
func HashPassword(password string) (Hash, error) {
	if password == "" {
		return "", errors.New("embedded: empty password")
	}
	salt := make([]byte, argonSalt)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("embedded: salt: %w", err)
	}
	a := argon{memory: argonMemory, time: argonTime, threads: argonThreads, salt: salt}
	a.key = a.derive(password, argonKey)
	return a.hash(), nil
}

// Validate says what is wrong with the form of a hash, and quotes nothing of it.
func (h Hash) Validate() error {
	if strings.HasPrefix(string(h), argonPrefix) {
		_, err := parseArgon(string(h))
		return err
	}
	return validateBcrypt(string(h))
}

// matches reports whether h is the hash of the password. It takes the same time
// whether it is or not.
func (h Hash) matches(password string) bool {
	if !strings.HasPrefix(string(h), argonPrefix) {
		return bcrypt.CompareHashAndPassword([]byte(h), []byte(password)) == nil
	}
	a, err := parseArgon(string(h))
	if err != nil {
		return false
	}
	return subtle.ConstantTimeCompare(a.key, a.derive(password, uint32(len(a.key)))) == 1
}

func validateBcrypt(h string) error {
	const length = 60
	if len(h) != length || h[0] != '$' || h[6] != '$' ||
		!strings.HasPrefix(h, "$2a$") && !strings.HasPrefix(h, "$2b$") && !strings.HasPrefix(h, "$2y$") {
		return errors.New("neither argon2id ($argon2id$v=19$m=...) nor bcrypt ($2b$..., 60 characters)")
	}
	cost, err := bcrypt.Cost([]byte(h))
	if err != nil {
		return errors.New("bcrypt: no cost from 4 to 31")
	}
	if cost > maxBcryptCost {
		return fmt.Errorf("bcrypt: a cost of %d makes each login too dear: at most %d", cost, maxBcryptCost)
	}
	for _, c := range []byte(h[7:]) {
		if !strings.ContainsRune("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", rune(c)) {
			return errors.New("bcrypt: characters that are not of its alphabet")
		}
	}
	return nil
}

const argonPrefix = "$argon2id$"

type argon struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

func (a argon) derive(password string, length uint32) []byte {
	return argon2.IDKey([]byte(password), a.salt, a.time, a.memory, a.threads, length)
}

func (a argon) hash() Hash {
	enc := base64.RawStdEncoding
	return Hash(fmt.Sprintf("%sv=%d$m=%d,t=%d,p=%d$%s$%s", argonPrefix, argon2.Version,
		a.memory, a.time, a.threads, enc.EncodeToString(a.salt), enc.EncodeToString(a.key)))
}

func parseArgon(h string) (argon, error) {
	parts := strings.Split(h, "$") // "", argon2id, v=19, m=,t=,p=, salt, key
	if len(parts) != 6 || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return argon{}, errors.New("argon2id: want $argon2id$v=19$m=...,t=...,p=...$salt$hash")
	}
	var a argon
	params := strings.Split(parts[3], ",")
	if len(params) != 3 {
		return argon{}, errors.New("argon2id: want m, t and p as m=...,t=...,p=... for parameters")
	}
	var values [3]uint32
	for i, p := range []struct {
		name   string
		lo, hi uint32
	}{{"m=", 8, maxArgonMemory}, {"t=", 1, maxArgonTime}, {"p=", 1, maxArgonThreads}} {
		digits, ok := strings.CutPrefix(params[i], p.name)
		n, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || uint32(n) < p.lo || uint32(n) > p.hi || strconv.FormatUint(n, 10) != digits {
			return argon{}, fmt.Errorf("argon2id: want %s%d to %d as parameter %d", p.name, p.lo, p.hi, i+1)
		}
		values[i] = uint32(n)
	}
	a.memory, a.time, a.threads = values[0], values[1], uint8(values[2])
	if a.memory < 8*uint32(a.threads) || a.memory*a.time > maxArgonWork {
		return argon{}, fmt.Errorf("argon2id: want m of at least 8*p, and m*t of at most %d", maxArgonWork)
	}
	var err error
	if a.salt, err = argonPart(parts[4], "salt", 8, 64); err != nil {
		return argon{}, err
	}
	a.key, err = argonPart(parts[5], "hash", 16, 64)
	return a, err
}

func argonPart(s, name string, lo, hi int) ([]byte, error) {
	b, err := base64.RawStdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < lo || len(b) > hi || strings.ContainsAny(s, "\r\n") {
		return nil, fmt.Errorf("argon2id: want a %s of %d to %d bytes in base64 without padding", name, lo, hi)
	}
	return b, nil
}
