package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// bind fills the tagged fields of a struct from checked text. Keys without text leave the field's
// zero value.
func bind(target any, lookup func(key string) (string, bool)) {
	v := reflect.ValueOf(target).Elem()
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("key")
		if key == "" {
			continue
		}
		if text, ok := lookup(key); ok {
			setField(v.Field(i), key, strings.TrimSpace(text))
		}
	}
}

func setField(f reflect.Value, key, text string) {
	switch f.Interface().(type) {
	case time.Duration:
		n, err := strconv.ParseInt(text, 10, 64)
		mustBind(key, err)
		f.SetInt(saturate(n, int64(unitOf(key))))
		return
	case []string:
		f.Set(reflect.ValueOf(SplitList(text)))
		return
	}
	switch f.Kind() {
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		mustBind(key, err)
		f.SetInt(n)
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		mustBind(key, err)
		f.SetFloat(n)
	case reflect.Bool:
		f.SetBool(strings.EqualFold(text, "true"))
	case reflect.String:
		f.SetString(text)
	default:
		panic(fmt.Sprintf("setting %s: no rule for a field of kind %s", key, f.Kind()))
	}
}

// mustBind: values were checked before, and defaults are tested, so an error is a fault of ours.
func mustBind(key string, err error) {
	if err != nil {
		panic(fmt.Sprintf("setting %s: %v", key, err))
	}
}

// unitOf is the unit in which a setting counts time, the last word of its name.
func unitOf(key string) time.Duration {
	switch key[strings.LastIndexByte(key, '.')+1:] {
	case "hours":
		return time.Hour
	case "minutes":
		return time.Minute
	case "seconds":
		return time.Second
	}
	return time.Millisecond
}
