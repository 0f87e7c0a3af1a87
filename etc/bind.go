package etc

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Bind fills the fields of a struct that carry a `key:"..."` tag with the text lookup has for the
// key; keys without text leave the field as it is. The text must have been checked: Bind panics
// when it does not parse. Durations are whole numbers of unit(key) and saturate.
func Bind(target any, lookup func(key string) (string, bool), unit func(key string) time.Duration) {
	v := reflect.ValueOf(target).Elem()
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("key")
		if key == "" {
			continue
		}
		if text, ok := lookup(key); ok {
			bindField(v.Field(i), key, strings.TrimSpace(text), unit)
		}
	}
}

func bindField(f reflect.Value, key, text string, unit func(string) time.Duration) {
	switch f.Interface().(type) {
	case time.Duration:
		f.SetInt(Saturate(mustInt(key, text), int64(unit(key))))
		return
	case []string:
		f.Set(reflect.ValueOf(SplitList(text)))
		return
	}
	switch f.Kind() {
	case reflect.Int, reflect.Int64:
		f.SetInt(mustInt(key, text))
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			panic(fmt.Sprintf("setting %s: %v", key, err))
		}
		f.SetFloat(n)
	case reflect.Bool:
		f.SetBool(strings.EqualFold(text, "true") || strings.EqualFold(text, "yes"))
	case reflect.String:
		f.SetString(text)
	default:
		panic(fmt.Sprintf("setting %s: no rule for a field of kind %s", key, f.Kind()))
	}
}

func mustInt(key, text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("setting %s: %v", key, err))
	}
	return n
}

// SplitList splits a list setting at commas, without the blanks around them; empty text is no item.
func SplitList(value string) []string {
	value = strings.TrimSpace(value)
	if value == "" {
		return nil
	}
	items := strings.Split(value, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}

// Saturate multiplies by a positive factor without overflow, so that upstream's "never" (2^63-1
// milliseconds) stays longer than any real interval.
func Saturate(n, factor int64) int64 {
	switch {
	case n > math.MaxInt64/factor:
		return math.MaxInt64
	case n < math.MinInt64/factor:
		return math.MinInt64
	}
	return n * factor
}
