package main

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
)

// protocol is what the XML says, with a Go name and a wire type for each thing.
type protocol struct {
	Constants []constant `xml:"constant"`
	Domains   []struct {
		Name string `xml:"name,attr"`
		Type string `xml:"type,attr"`
	} `xml:"domain"`
	Classes []class `xml:"class"`
}

type constant struct {
	Name  string `xml:"name,attr"`
	Value uint16 `xml:"value,attr"`
	Class string `xml:"class,attr"` // soft-error, hard-error or nothing
}

type class struct {
	Name    string   `xml:"name,attr"`
	Index   uint16   `xml:"index,attr"`
	Methods []method `xml:"method"`
}

type method struct {
	Name      string  `xml:"name,attr"`
	Index     uint16  `xml:"index,attr"`
	Content   bool    `xml:"content,attr"`
	Fields    []field `xml:"field"`
	Receivers []named `xml:"chassis"`
	Responses []named `xml:"response"`
	Class     *class  `xml:"-"`
}

type field struct {
	Name     string `xml:"name,attr"`
	Domain   string `xml:"domain,attr"`
	Type     string `xml:"type,attr"` // an elementary type, after parse
	Reserved bool   `xml:"reserved,attr"`
	Bit      int    `xml:"-"` // place in its octet, of a bit
}

type named struct {
	Name string `xml:"name,attr"`
}

// parse reads the XML and resolves the domains of the fields.
func parse(text []byte) (*protocol, error) {
	p := new(protocol)
	if err := xml.Unmarshal(text, p); err != nil {
		return nil, fmt.Errorf("parse the specification: %w", err)
	}
	domains := map[string]string{}
	for _, d := range p.Domains {
		domains[d.Name] = d.Type
	}
	for i := range p.Classes {
		c := &p.Classes[i]
		for j := range c.Methods {
			m := &c.Methods[j]
			m.Class = c
			m.resolve(domains)
		}
	}
	return p, nil
}

// resolve gives each field its elementary type and each bit its place: bits that
// follow one another share an octet, the first one is the lowest.
func (m *method) resolve(domains map[string]string) {
	bit := 0
	for i := range m.Fields {
		f := &m.Fields[i]
		if f.Domain != "" {
			f.Type = domains[f.Domain]
		}
		if f.Type != "bit" {
			bit = 0
			continue
		}
		f.Bit = bit
		bit++
	}
}

// GoName is the name of the method's struct.
func (m *method) GoName() string { return camel(m.Class.Name) + camel(m.Name) }

// Direction says in words who sends the method.
func (m *method) Direction() string {
	client, server := false, false
	for _, r := range m.Receivers {
		client = client || r.Name == "server" // which receives it
		server = server || r.Name == "client"
	}
	switch {
	case client && server:
		return "from either side"
	case client:
		return "from the client"
	}
	return "from the server"
}

// Answers names the structs that answer the method.
func (m *method) Answers() string {
	var names []string
	for _, r := range m.Responses {
		names = append(names, camel(m.Class.Name)+camel(r.Name))
	}
	return strings.Join(names, " or ")
}

// Named returns the fields that are not reserved.
func (m *method) Named() []field {
	return slices.DeleteFunc(slices.Clone(m.Fields), func(f field) bool { return f.Reserved })
}

// GoName is the name of the field in its struct.
func (f field) GoName() string { return camel(f.Name) }

// GoType is the type of the field in its struct.
func (f field) GoType() string {
	switch f.Type {
	case "bit":
		return "bool"
	case "octet":
		return "uint8"
	case "short":
		return "uint16"
	case "long":
		return "uint32"
	case "longlong":
		return "uint64"
	case "table":
		return "Table"
	}
	return "string"
}

// camel turns no-wait into NoWait.
func camel(name string) string {
	if name == "nowait" { // so spelt in confirm.select only
		return "NoWait"
	}
	var b strings.Builder
	for part := range strings.SplitSeq(name, "-") {
		if part == "id" {
			b.WriteString("ID")
			continue
		}
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}
