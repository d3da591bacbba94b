package console

import (
	"io/fs"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"sluice.dev/sluice/docs"
)

var sample = fstest.MapFS{
	"guide/index.md": {Data: []byte("# Guide\n\n[Steps](steps.md), [Install](install.md#linux)\n")},
	"guide/install.md": {Data: []byte("# Install\n\n## Linux\n\ntext <script>alert(1)</script> <b onclick=x>b</b>\n\n" +
		"[up](../statistics.md) [code](../../internal/x.go) [js](javascript:alert(1)) [out](https://example.org/) ![p](../images/a.png) ![far](https://example.org/b.png)\n\n" +
		"| a | b |\n|--:|---|\n| 1 | `<i>` |\n")},
	"guide/steps.md":       {Data: []byte("# Steps\n\n## Linux & more\n\n## Linux & more\n")},
	"guide/zebra.md":       {Data: []byte("# Zebra\n")},
	"guide.zh/index.md":    {Data: []byte("# 指南\n\n## 第一步：安装\n")},
	"statistics.md":        {Data: []byte("# Statistics\n\n[guide](guide/install.md) ![p](images/a.png)\n")},
	"images/a.png":         {Data: []byte("\x89PNG")},
	"images/secret/b.png":  {Data: []byte("x")},
	"decisions/0001-no.md": {Data: []byte("# no page\n")},
}

func sampleGuide(t *testing.T) http.Handler {
	t.Helper()
	g, err := newGuide(sample, files, "/assets/x/")
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGuideIsServedAsPages(t *testing.T) {
	g := sampleGuide(t)
	w := get(g, "GET", "/guide/en/install")
	body := w.Body.String()
	if w.Code != 200 || w.Header().Get("Content-Type") != types[".html"] || w.Header().Get("ETag") == "" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	for _, want := range []string{
		`<title>Install · Sluice</title>`, `<h2 id="linux">Linux</h2>`, `href="/guide/docs/statistics"`, `<img src="/guide/images/a.png"`,
		`<a href="https://example.org/" rel="noopener noreferrer" target="_blank">`, `hreflang="zh" href="/guide/zh/index"`, `<td align="right">1</td>`, `<code>&lt;i&gt;</code>`,
		`<a href="/guide/en/install" aria-current="page">Install</a>`, `lang="en"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	article := body[strings.Index(body, "<article>"):strings.Index(body, "</article>")]
	for _, bad := range []string{"<script", "onclick", "javascript:", "x.go", `src="https`, "style="} {
		if strings.Contains(article, bad) {
			t.Errorf("the page holds %s:\n%s", bad, article)
		}
	}
	if again := get(g, "GET", "/guide/en/install", "If-None-Match", w.Header().Get("ETag")); again.Code != 304 {
		t.Errorf("asked again: %d", again.Code)
	}
}

// TestGuideOrder: as the index links, then the rest by name.
func TestGuideOrder(t *testing.T) {
	body := get(sampleGuide(t), "GET", "/guide/en/index").Body.String()
	var got []string
	for _, m := range regexp.MustCompile(`<li><a href="/guide/en/([a-z]+)"`).FindAllStringSubmatch(body, -1) {
		got = append(got, m[1])
	}
	if strings.Join(got, " ") != "index steps install zebra" {
		t.Errorf("the order is %v", got)
	}
}

func TestGuideHeadings(t *testing.T) {
	steps := get(sampleGuide(t), "GET", "/guide/en/steps").Body.String()
	for _, want := range []string{`<h2 id="linux--more">`, `<h2 id="linux--more-1">`, `<a href="#linux--more-1">Linux &amp; more</a>`} {
		if !strings.Contains(steps, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	zh := get(sampleGuide(t), "GET", "/guide/zh/index").Body.String()
	if !strings.Contains(zh, `<h2 id="第一步安装">`) || !strings.Contains(zh, `lang="zh-CN"`) || !strings.Contains(zh, `跳到正文`) {
		t.Errorf("the Chinese page is %s", zh)
	}
}

func TestGuideServesNothingElse(t *testing.T) {
	g := sampleGuide(t)
	for path, want := range map[string]int{
		"/guide/": 303, "/guide/en": 303, "/guide/zh/": 303, "/guide/docs/statistics": 200, "/guide/images/a.png": 200,
		"/guide/xx": 404, "/guide/xx/": 404, "/guide/en/nope": 404, "/guide/en/../docs": 404, "/guide/en/%2e%2e/statistics": 404, "/guide/en/Index": 404, "/guide/docs/decisions": 404,
		"/guide/images/secret/b.png": 404, "/guide/images/../statistics.md": 404, "/guide/images/nope.png": 404, "/guide/docs/0001-no": 404,
	} {
		if w := get(g, "GET", path); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	if w := get(Handler(), "GET", "/guide/en/index"); w.Code != 200 || w.Header().Get("Content-Security-Policy") != policy {
		t.Errorf("the guide of the console: %d %v", w.Code, w.Header())
	}
}

// TestEveryPageOfTheGuide renders what is embedded: both languages have the same pages, each picture is
// there and no link leads nowhere.
func TestEveryPageOfTheGuide(t *testing.T) {
	h := Handler()
	links := regexp.MustCompile(`(?:href|src)="(/guide/[^"#]*)(#[^"]*)?"`)
	names := map[string][]string{}
	for _, s := range sections {
		pages, err := fs.Glob(docs.Files, s.folder+"/*.md")
		if err != nil || len(pages) == 0 {
			t.Fatalf("%s: %v, %v", s.folder, pages, err)
		}
		for _, page := range pages {
			name := strings.TrimSuffix(page[strings.LastIndex(page, "/")+1:], ".md")
			if !pageName.MatchString(name) {
				t.Errorf("%s can't be served: its name is not of a-z, 0-9 and -", page)
				continue
			}
			names[s.address] = append(names[s.address], name)
			body := get(h, "GET", "/guide/"+s.address+"/"+name).Body.String()
			if strings.Contains(body, `src=""`) {
				t.Errorf("%s shows a picture that is not there", page)
			}
			for _, m := range links.FindAllStringSubmatch(body, -1) {
				to := get(h, "GET", m[1])
				if to.Code != 200 {
					t.Errorf("%s leads to %s, which is not served", page, m[1])
				}
			}
		}
	}
	if en, zh := strings.Join(names["en"], " "), strings.Join(names["zh"], " "); en != zh {
		t.Errorf("the pages differ:\nen: %s\nzh: %s", en, zh)
	}
}
