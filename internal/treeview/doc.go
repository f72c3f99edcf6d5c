// Package treeview renders a supervision tree for a terminal.
//
//	text := treeview.Render(node, time.Now(), treeview.Options{Version: "0.1.0"})
//
// # Guarantees
//
// Render is a pure function: it reads no clock, no environment and no terminal.
// Every node is one line, whatever bytes its fields hold: control characters,
// escape sequences and invalid UTF-8 are shown, never sent to the terminal,
// because an error text may come from a task. Columns are aligned by display
// width; colours are added after that and never change the text.
package treeview
