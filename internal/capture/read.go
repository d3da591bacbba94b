package capture

import (
	"bufio"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"
)

// maxLine bounds one exchange: two bodies with their limit, escaped.
const maxLine = 64 << 20

// Read yields what was kept of a model ("" for all), oldest batch first. It stops at the first fault and yields it.
func Read(dir, model string, ids ...age.Identity) iter.Seq2[Exchange, error] {
	if model == "" {
		model = "*"
	}
	return func(yield func(Exchange, error) bool) {
		files, err := filepath.Glob(filepath.Join(dir, model, "*", "*.age"))
		if err != nil {
			yield(Exchange{}, err)
			return
		}
		// Names begin with the time, in as many digits until the year 2286.
		slices.SortFunc(files, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
		for _, file := range files {
			if !readBatch(file, ids, yield) {
				return
			}
		}
	}
}

func readBatch(file string, ids []age.Identity, yield func(Exchange, error) bool) bool {
	f, err := os.Open(file)
	if err != nil {
		yield(Exchange{}, err)
		return false
	}
	defer f.Close()
	clear, err := age.Decrypt(f, ids...)
	if err != nil {
		yield(Exchange{}, fmt.Errorf("%s can't be read with this key: %w", file, err))
		return false
	}
	lines := bufio.NewScanner(clear)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var e Exchange
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			yield(Exchange{}, fmt.Errorf("%s is damaged: %w", file, err))
			return false
		}
		if !yield(e, nil) {
			return false
		}
	}
	if err := lines.Err(); err != nil {
		yield(Exchange{}, fmt.Errorf("%s is damaged: %w", file, err))
		return false
	}
	return true
}
