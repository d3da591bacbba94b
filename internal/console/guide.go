package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// section is a folder of documentation that is served: its address, its folder and its language.
type section struct {
	address string // /guide/ADDRESS/NAME
	folder  string // below docs
	lang    string // of the page
	dict    string // whose dictionary names the frame
}

var sections = []section{
	{"en", "guide", "en", "en"},
	{"zh", "guide.zh", "zh-CN", "zh"},
	{"docs", ".", "en", "en"}, // the papers beside the guide, in English
}

// pageName is what a page may be called.
var pageName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// guide serves the documentation as pages: /guide/en/NAME, /guide/zh/NAME, /guide/docs/NAME and
// /guide/images/NAME. A page is rendered when it is first asked for and kept.
type guide struct {
	from   fs.FS
	words  map[string]map[string]string // by language
	assets string
	orders map[string]func() []entry // by section's address

	mu    sync.Mutex
	pages map[string]asset // by address
}

// entry of the list of pages.
type entry struct {
	Name, Title string
}

func newGuide(from fs.FS, texts fs.FS, assets string) (*guide, error) {
	g := &guide{from: from, assets: assets, words: map[string]map[string]string{}, orders: map[string]func() []entry{}, pages: map[string]asset{}}
	for _, s := range sections {
		dict, err := words(texts, s.dict)
		if err != nil {
			return nil, err
		}
		g.words[s.dict] = dict
		g.orders[s.address] = sync.OnceValue(func() []entry { return g.order(s) })
	}
	return g, nil
}

func words(from fs.FS, lang string) (map[string]string, error) {
	b, err := fs.ReadFile(from, "static/lang/"+lang+".json")
	if err != nil {
		return nil, err
	}
	var out map[string]string
	return out, json.Unmarshal(b, &out)
}

// ServeHTTP answers below /guide/.
func (g *guide) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	where, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/guide/"), "/")
	at := slices.IndexFunc(sections, func(s section) bool { return s.address == where })
	switch {
	case where == "images":
		g.picture(w, r, name)
	case where == "" || where == "/guide":
		http.Redirect(w, r, "/guide/en/index", http.StatusSeeOther)
	case at < 0:
		missing(w)
	case name == "":
		http.Redirect(w, r, "/guide/"+where+"/index", http.StatusSeeOther)
	default:
		g.page(w, r, sections[at], name)
	}
}

func missing(w http.ResponseWriter) {
	plain(w, http.StatusNotFound, "There is nothing here. The guide is at /guide/en/index")
}

func (g *guide) picture(w http.ResponseWriter, r *http.Request, name string) {
	kind, ok := types[path.Ext(name)]
	b, err := fs.ReadFile(g.from, "images/"+name)
	if !ok || err != nil || strings.Contains(name, "/") {
		missing(w)
		return
	}
	send(w, r, newAsset(b, kind), "no-cache")
}

func (g *guide) page(w http.ResponseWriter, r *http.Request, s section, name string) {
	if !pageName.MatchString(name) {
		missing(w)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	a, ok := g.pages[s.address+"/"+name]
	if !ok {
		body, err := g.render(s, name)
		if err != nil {
			missing(w)
			return
		}
		a = newAsset(body, types[".html"])
		g.pages[s.address+"/"+name] = a
	}
	send(w, r, a, "no-cache")
}

// frame is what surrounds a page's content.
type frame struct {
	Lang, Section, Other, OtherPage, OtherName, Assets, Name, Title string
	Words                                                           map[string]string
	Pages                                                           []entry
	Headings                                                        []heading
	Body                                                            string // HTML
}

func (g *guide) render(s section, name string) ([]byte, error) {
	file := path.Join(s.folder, name+".md")
	source, err := fs.ReadFile(g.from, file)
	if err != nil {
		return nil, err
	}
	doc, err := g.markdown(file, source)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	f := frame{
		Lang: s.lang, Section: s.address, Assets: strings.TrimSuffix(g.assets, "/"), Name: name, Title: doc.title, Words: g.words[s.dict],
		Pages: g.orders[s.address](), Headings: doc.headings, Body: doc.body,
	}
	f.Other, f.OtherPage, f.OtherName = "zh", name, "中文"
	if s.address == "zh" {
		f.Other, f.OtherName = "en", "English"
	}
	for _, o := range sections {
		if _, err := fs.Stat(g.from, path.Join(o.folder, name+".md")); err != nil && o.address == f.Other {
			f.OtherPage = "index"
		}
	}
	if s.address == "docs" {
		f.Other = ""
	}
	var out bytes.Buffer
	err = f.html().Render(&out)
	return out.Bytes(), err
}

// order lists the pages of a section as its index links to them, then the others by name.
func (g *guide) order(s section) []entry {
	files, _ := fs.Glob(g.from, path.Join(s.folder, "*.md")) // the pattern is ours
	var rest []string
	for _, f := range files {
		if name := strings.TrimSuffix(path.Base(f), ".md"); pageName.MatchString(name) {
			rest = append(rest, name)
		}
	}
	var names []string
	if i := slices.Index(rest, "index"); i >= 0 {
		names, rest = append(names, "index"), slices.Delete(rest, i, i+1)
		index, _ := fs.ReadFile(g.from, path.Join(s.folder, "index.md")) // it was listed
		for _, m := range linked.FindAllSubmatch(index, -1) {
			if i := slices.Index(rest, string(m[1])); i >= 0 {
				names, rest = append(names, rest[i]), slices.Delete(rest, i, i+1)
			}
		}
	}
	var out []entry
	for _, name := range append(names, rest...) {
		b, _ := fs.ReadFile(g.from, path.Join(s.folder, name+".md")) // it was listed
		out = append(out, entry{name, titleOf(b, name)})
	}
	return out
}

var linked = regexp.MustCompile(`\]\(([a-z0-9-]+)\.md[)#]`)

// titleOf is the text of the first heading.
func titleOf(source []byte, name string) string {
	for line := range strings.Lines(string(source)) {
		if text, ok := strings.CutPrefix(line, "# "); ok {
			return strings.ReplaceAll(strings.TrimSpace(text), "`", "")
		}
	}
	return name
}
