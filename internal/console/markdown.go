package console

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"strings"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// heading of a page, for its table of contents.
type heading struct{ ID, Text string }

// rendered is a page's content.
type rendered struct {
	title    string
	headings []heading
	body     string // HTML, made by goldmark's safe mode from our own embedded files
}

// markdown renders one file. Raw HTML in it is left out and dangerous addresses are dropped (goldmark's
// safe mode), so that a page can hold nothing that the policy would have to stop.
func (g *guide) markdown(file string, source []byte) (rendered, error) {
	md := goldmark.New(
		goldmark.WithExtensions(
			extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute)), // a style would be inline
			extension.Strikethrough, extension.Linkify, extension.TaskList),
		goldmark.WithParserOptions(parser.WithAutoHeadingID(), parser.WithASTTransformers(util.Prioritized(links{g, file}, 500))),
		goldmark.WithRendererOptions(html.WithXHTML()),
	)
	doc := md.Parser().Parse(text.NewReader(source), parser.WithContext(parser.NewContext(parser.WithIDs(slugs{}))))
	out := rendered{title: titleOf(source, file)}
	for n := doc.FirstChild(); n != nil; n = n.NextSibling() {
		if h, ok := n.(*ast.Heading); ok && h.Level == 2 {
			id, _ := h.AttributeString("id")
			out.headings = append(out.headings, heading{fmt.Sprintf("%s", id), plainText(h, source)})
		}
	}
	var b bytes.Buffer
	if err := md.Renderer().Render(&b, source, doc); err != nil {
		return out, err
	}
	out.body = b.String()
	return out, nil
}

func plainText(n ast.Node, source []byte) string {
	var b strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		switch c := c.(type) {
		case *ast.Text:
			b.Write(c.Segment.Value(source))
		case *ast.String:
			b.Write(c.Value)
		default:
			b.WriteString(plainText(c, source))
		}
	}
	return b.String()
}

// slugs makes headings' ids as GitHub does, so that links work in both places, in Chinese too.
type slugs map[string]int

func (s slugs) Generate(value []byte, _ ast.NodeKind) []byte {
	id := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(string(value)))
	n := s[id]
	s[id]++
	if n > 0 {
		id = fmt.Sprintf("%s-%d", id, n)
	}
	return []byte(id)
}

func (s slugs) Put(value []byte) { s[string(value)]++ }

// links turns links between files into links between pages. What the console does not serve (a file of
// the source tree) becomes plain text.
type links struct {
	g    *guide
	file string
}

func (l links) Transform(doc *ast.Document, _ text.Reader, _ parser.Context) {
	var dead []*ast.Link
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the function returns no error
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Link:
			to, ok := l.g.address(l.file, string(n.Destination))
			if !ok {
				dead = append(dead, n)
				return ast.WalkContinue, nil
			}
			n.Destination = []byte(to)
			if strings.HasPrefix(to, "http") {
				n.SetAttributeString("rel", []byte("noopener noreferrer"))
				n.SetAttributeString("target", []byte("_blank"))
			}
		case *ast.Image:
			to, ok := l.g.address(l.file, string(n.Destination))
			if !ok || !strings.HasPrefix(to, "/guide/images/") {
				to = "" // no other host, not even for a picture
			}
			n.Destination = []byte(to)
			n.SetAttributeString("loading", []byte("lazy"))
		}
		return ast.WalkContinue, nil
	})
	for _, n := range dead {
		parent := n.Parent()
		for c := n.FirstChild(); c != nil; {
			next := c.NextSibling()
			parent.InsertBefore(parent, n, c)
			c = next
		}
		parent.RemoveChild(parent, n)
	}
}

// address of what a link in a file leads to, or false if the console does not serve it.
func (g *guide) address(file, link string) (string, bool) {
	u, err := url.Parse(link)
	if err != nil {
		return "", false
	}
	if u.Scheme != "" || u.Host != "" {
		return link, u.Scheme == "https" || u.Scheme == "http"
	}
	if u.Path == "" { // a place of the same page
		return link, u.Fragment != ""
	}
	target := path.Join(path.Dir(file), u.Path)
	if _, err := fs.Stat(g.from, target); err != nil {
		return "", false
	}
	folder, name := path.Dir(target), path.Base(target)
	if folder == "images" {
		return "/guide/images/" + name, true
	}
	for _, s := range sections {
		if page, ok := strings.CutSuffix(name, ".md"); ok && s.folder == folder && pageName.MatchString(page) {
			to := "/guide/" + s.address + "/" + page
			if u.Fragment != "" {
				to += "#" + u.EscapedFragment()
			}
			return to, true
		}
	}
	return "", false
}
