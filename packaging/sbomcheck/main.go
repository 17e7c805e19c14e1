// Command sbomcheck holds CycloneDX 1.6 bills of materials to their schema.
//
// usage: sbomcheck FILE...
package main

import (
	"bytes"
	"embed"
	"fmt"
	"os"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed schema/*.json
var schemas embed.FS

const (
	base = "http://cyclonedx.org/schema/" // what the schemas call each other by
	bom  = "bom-1.6.schema.json"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: sbomcheck FILE...")
		os.Exit(2)
	}
	for _, name := range os.Args[1:] {
		if err := check(name); err != nil {
			fmt.Fprintf(os.Stderr, "sbomcheck: %s: %v\n", name, err)
			os.Exit(1)
		}
	}
}

func check(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	files, err := schemas.ReadDir("schema")
	if err != nil {
		return err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for _, f := range files {
		text, err := schemas.ReadFile("schema/" + f.Name())
		if err != nil {
			return err
		}
		schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return err
		}
		if err := c.AddResource(base+f.Name(), schema); err != nil {
			return err
		}
	}
	schema, err := c.Compile(base + bom)
	if err != nil {
		return err
	}
	return schema.Validate(doc)
}
