package release

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/scanner"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a file. The parser's time grows with the square of the number of fields in one mapping, so
// the number of tokens (a field has three) is bounded too: the worst file of 30,000 takes half a second.
const (
	MaxFileBytes = 1 << 20
	maxTokens    = 30_000
	maxYAMLDepth = 32
)

// parseYAML turns a file into its tree. The result is the root mapping; faults stop the reading. What
// could make a small file large (anchors, aliases, merges) or run code (tags) is refused, and so are
// several documents.
func parseYAML(p *Positions, data []byte) (root *ast.MappingNode, fault *FileFault) {
	fail := func(at *token.Token, remedy, format string, args ...any) (*ast.MappingNode, *FileFault) {
		f := FileFault{File: p.file, Msg: fmt.Sprintf(format, args...), Remedy: remedy}
		if at != nil && at.Position != nil {
			f.Line, f.Col = at.Position.Line, at.Position.Column
		}
		return nil, &f
	}
	if len(data) > MaxFileBytes {
		return fail(nil, "split it or check that it is the right file", "the file has %d bytes, at most %d are read", len(data), MaxFileBytes)
	}
	// The parser is a library fed with untrusted text: a panic in it is a fault of the file, not an outage.
	defer func() {
		if r := recover(); r != nil {
			root, fault = fail(nil, "check indentation and quotes", "the file is not valid YAML")
		}
	}()
	tokens := scan(string(data))
	if at, remedy, msg := refuseTokens(tokens); msg != "" {
		return fail(at, remedy, "%s", msg)
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			return fail(syntax.GetToken(), "check indentation, quotes and brackets", "not valid YAML: %s", syntax.GetMessage())
		}
		return fail(nil, "check indentation, quotes and brackets", "not valid YAML: %s", clip(err.Error()))
	}
	docs := make([]*ast.DocumentNode, 0, 1)
	for _, d := range file.Docs {
		if d.Body != nil {
			docs = append(docs, d)
		}
	}
	if len(docs) == 0 {
		return fail(nil, "begin with apiVersion: "+APIVersion, "the file is empty")
	}
	if len(docs) > 1 {
		return fail(docs[1].Body.GetToken(), "put each object into a file of its own", "the file has %d documents", len(docs))
	}
	joinColons(docs[0].Body)
	switch body := docs[0].Body.(type) {
	case *ast.MappingNode:
		return body, nil
	case *ast.MappingValueNode:
		return &ast.MappingNode{BaseNode: body.BaseNode, Start: body.Key.GetToken(), Values: []*ast.MappingValueNode{body}}, nil
	default:
		return fail(body.GetToken(), "begin with apiVersion: "+APIVersion, "the file is %s, not a mapping of fields", describe(body))
	}
}

// scan cuts the text into tokens, and stops early when there are too many or one is invalid: the parser
// would refuse them, but only after all the rest had been scanned.
func scan(text string) token.Tokens {
	var s scanner.Scanner
	s.Init(text)
	var tokens token.Tokens
	for len(tokens) <= maxTokens {
		next, err := s.Scan()
		tokens.Add(next...)
		if err != nil { // the end, or an invalid token, which is the last one and tells what is wrong
			break
		}
	}
	return tokens
}

// refuseTokens looks at the tokens before the recursive parser sees them: it bounds their number and
// how deep they nest, and refuses what these files don't need.
func refuseTokens(tokens token.Tokens) (at *token.Token, remedy, msg string) {
	if len(tokens) > maxTokens {
		return tokens[maxTokens], "split it or check that it is the right file", "the file has too many values"
	}
	flow, row, line := 0, 0, 0
	var indents []int
	for _, t := range tokens {
		switch t.Type { //nolint:exhaustive // all other tokens are welcome
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			return t, "write the value out where it is used", "anchors, aliases and merge keys are not supported"
		case token.TagType:
			return t, "remove the tag", "YAML tags are not supported"
		case token.DirectiveType:
			return t, "remove the line", "YAML directives are not supported"
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		}
		if t.Position == nil {
			continue
		}
		if t.Position.Line != line {
			line, row = t.Position.Line, 0
			for len(indents) > 0 && indents[len(indents)-1] >= t.Position.Column {
				indents = indents[:len(indents)-1]
			}
			indents = append(indents, t.Position.Column)
		}
		if t.Type == token.SequenceEntryType || t.Type == token.MappingKeyType {
			row++
		}
		if flow+len(indents)+row > maxYAMLDepth {
			return t, "no field of these files is that deep: check indentation and brackets", "the file nests too deep"
		}
	}
	return nil, "", ""
}

// describe says in words what a node is.
func describe(n ast.Node) string {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return "empty"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.BoolNode:
		return "a boolean"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	default:
		return n.Type().String()
	}
}
