// Package tidy holds the house rules as tests: the layout table of docs/layout.md against the real imports, the bans
// for pure packages, and the size ratchet. Run it by name (go test ./.ci/tidy): wildcards skip dot folders.
package tidy

import (
	"bufio"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

const module = "zkafka"

type row struct {
	rank int
	kind string
	may  map[string]bool
}

type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// layout reads the two tables of docs/layout.md.
func layout(t *testing.T) map[string]row {
	t.Helper()
	f, err := os.Open(filepath.Join(root(t), "docs/layout.md"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows := map[string]row{}
	for s := bufio.NewScanner(f); s.Scan(); {
		cells := strings.Split(s.Text(), "|")
		if len(cells) != 7 {
			continue
		}
		rank, err := strconv.Atoi(strings.TrimSpace(cells[2]))
		if err != nil {
			continue // the header, or the rule below it
		}
		r := row{rank: rank, kind: strings.TrimSpace(cells[3]), may: map[string]bool{}}
		for name := range strings.SplitSeq(cells[5], ",") {
			if name = strings.TrimSpace(name); name != "-" && name != "" {
				r.may[name] = true
			}
		}
		rows[strings.TrimSpace(cells[1])] = r
	}
	if len(rows) < 20 {
		t.Fatalf("docs/layout.md: found only %d rows; has the table's shape changed?", len(rows))
	}
	return rows
}

func packages(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,GoFiles,Imports"}, args...)...)
	cmd.Dir = root(t)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if p.ImportPath != module {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		t.Fatal("go list found no package")
	}
	return all
}

func ours(path string) (string, bool) { return strings.CutPrefix(path, module+"/") }

func TestImportsFollowTheTable(t *testing.T) {
	rows := layout(t)
	for name, r := range rows {
		for dep := range r.may {
			d, ok := rows[dep]
			switch {
			case !ok:
				t.Errorf("docs/layout.md: %s may import %s, which has no row", name, dep)
			case d.rank >= r.rank:
				t.Errorf("docs/layout.md: %s (rank %d) may import %s (rank %d)", name, r.rank, dep, d.rank)
			}
		}
	}
	for _, p := range packages(t, "./...") {
		name, _ := ours(p.ImportPath)
		r, ok := rows[name]
		if !ok {
			t.Errorf("%s has no row in docs/layout.md", name)
			continue
		}
		for _, imp := range p.Imports {
			if dep, ok := ours(imp); ok && !r.may[dep] {
				t.Errorf("%s imports %s, which its row in docs/layout.md does not allow", name, dep)
			}
		}
	}
}

// kmsgSeers and pebbleSeers are the only packages that may know those libraries (style: the machines speak small types).
// Tests, benchmarks and the command line tools are clients, not brokers.
var (
	kmsgSeers = []string{"kafkad/wire", "kafkad/peer", "kafkad/coordinator", "kafkad/handler",
		"kafkad/console", "kafkad/manage", "kafkad/interop", "kafkad/bench", "kafkad/cmd"}
	pebbleSeers = []string{"kafkad/disk", "kafkad/index"}
	clientSeers = []string{"kafkad/tool", "kafkad/console", "kafkad/manage", "kafkad/interop", "kafkad/bench",
		"kafkad/cmd"}
)

func TestLibrariesStayWhereTheyBelong(t *testing.T) {
	rules := []struct {
		prefix  string
		allowed []string
	}{
		{"github.com/twmb/franz-go/pkg/kmsg", kmsgSeers},
		{"github.com/twmb/franz-go/pkg/kgo", clientSeers},
		{"github.com/twmb/franz-go/pkg/kadm", clientSeers},
		{"github.com/cockroachdb/pebble", pebbleSeers},
	}
	for _, p := range packages(t, "./...") {
		name, _ := ours(p.ImportPath)
		for _, imp := range p.Imports {
			for _, rule := range rules {
				if strings.HasPrefix(imp, rule.prefix) && !contains(rule.allowed, name) {
					t.Errorf("%s imports %s; only %s may", name, imp, strings.Join(rule.allowed, ", "))
				}
			}
		}
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// pureBans are packages that a pure machine cannot need.
var pureBans = []string{"os", "net", "net/http", "sync", "sync/atomic", "math/rand", "math/rand/v2", "crypto/rand",
	"log", "log/slog", "go.uber.org/zap", "os/exec", "syscall", "context"}

func TestPurePackagesArePure(t *testing.T) {
	rows := layout(t)
	for _, p := range packages(t, "./...") {
		name, _ := ours(p.ImportPath)
		if rows[name].kind != "P" {
			continue
		}
		exempt := pureExceptions(t)[name]
		for _, imp := range p.Imports {
			if contains(pureBans, imp) && !exempt[imp] {
				t.Errorf("%s is pure and imports %s", name, imp)
			}
		}
		for _, file := range p.GoFiles {
			checkPureFile(t, name, filepath.Join(p.Dir, file), exempt)
		}
	}
}

func checkPureFile(t *testing.T, name, path string, exempt map[string]bool) {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		at := func() string { return fset.Position(n.Pos()).String() }
		switch n := n.(type) {
		case *ast.GoStmt:
			if !exempt["go"] {
				t.Errorf("%s: go statement in pure package %s", at(), name)
			}
		case *ast.ChanType:
			if !exempt["chan"] {
				t.Errorf("%s: channel in pure package %s", at(), name)
			}
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if ok && x.Name == "time" && contains([]string{"Now", "Since", "Sleep", "After", "NewTimer", "Tick"}, n.Sel.Name) {
				t.Errorf("%s: time.%s in pure package %s", at(), n.Sel.Name, name)
			}
		}
		return true
	})
}

// pureExceptions reads .ci/tidy/pure.txt: "package import reason", one per line.
func pureExceptions(t *testing.T) map[string]map[string]bool {
	t.Helper()
	b, err := os.ReadFile("pure.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]bool{}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if len(f) < 3 {
			t.Fatalf("pure.txt: want package, import, reason: %q", line)
		}
		if out[f[0]] == nil {
			out[f[0]] = map[string]bool{}
		}
		out[f[0]][f[1]] = true
	}
	return out
}

// Limits of style section 3. A file that broke one when the rule came is listed in ratchet.txt with its number and may only shrink.
const (
	maxFileLines = 800
	maxFuncLines = 70
	maxLineWidth = 100
)

func TestSizesOnlyShrink(t *testing.T) {
	old := ratchet(t)
	seen := map[string]int{}
	for _, p := range packages(t, "./...") {
		for _, file := range p.GoFiles {
			path := filepath.Join(p.Dir, file)
			rel, err := filepath.Rel(root(t), path)
			if err != nil {
				t.Fatal(err)
			}
			for key, n := range measure(t, path, rel) {
				seen[key] = n
				if allowed, ok := old[key]; !ok {
					t.Errorf("%s: %d lines or columns is past the limit (file %d, function %d, line %d)",
						key, n, maxFileLines, maxFuncLines, maxLineWidth)
				} else if n > allowed {
					t.Errorf("%s: grew from %d to %d", key, allowed, n)
				}
			}
		}
	}
	var stale []string
	for key := range old {
		if _, ok := seen[key]; !ok {
			stale = append(stale, key)
		}
	}
	sort.Strings(stale)
	for _, key := range stale {
		t.Errorf("ratchet.txt: %s keeps its limits now; remove the line", key)
	}
}

// measure returns what is past its limit in one file, by key "path kind name".
func measure(t *testing.T, path, rel string) map[string]int {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	lines := strings.Split(strings.TrimSuffix(string(src), "\n"), "\n")
	if len(lines) > maxFileLines {
		out[rel+" file"] = len(lines)
	}
	wide := 0
	for _, l := range lines {
		wide = max(wide, utf8.RuneCountInString(l)) // a tab counts as one, as linters count
	}
	if wide > maxLineWidth {
		out[rel+" width"] = wide
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, src, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1
		if n > maxFuncLines {
			out[rel+" func "+fn.Name.Name] = n
		}
	}
	return out
}

func ratchet(t *testing.T) map[string]int {
	t.Helper()
	b, err := os.ReadFile("ratchet.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		n, err := strconv.Atoi(line[i+1:])
		if err != nil {
			t.Fatalf("ratchet.txt: %q: %v", line, err)
		}
		out[line[:i]] = n
	}
	return out
}
