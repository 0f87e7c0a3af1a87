package config

import "zkafka/etc"

// unknownKey names the setting that was most likely meant.
func unknownKey(name string) *Error {
	e := &Error{Key: name, Message: "unknown setting " + name}
	if near := nearest(name); near != "" {
		e.Hint = "did you mean " + near + "?"
	} else {
		e.Hint = "`kafkad config keys` lists every setting"
	}
	return e
}

func nearest(name string) string {
	known := make([]string, 0, len(BrokerKeys()))
	for _, k := range BrokerKeys() {
		known = append(known, k.Name)
	}
	return etc.Nearest(name, known)
}
