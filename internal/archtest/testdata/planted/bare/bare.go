// Package bare has its comment in the wrong file.
package bare
