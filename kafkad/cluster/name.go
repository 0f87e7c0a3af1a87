package cluster

import (
	"fmt"
	"strings"
)

// maxTopicName is the longest name of a topic: with a partition number it must fit a file name.
const maxTopicName = 249

// TopicNameError says in Kafka's words what is wrong with a topic's name, "" if nothing.
func TopicNameError(name string) string {
	const intro = "Topic name is invalid: "
	switch {
	case name == "":
		return intro + "the empty string is not allowed"
	case name == ".":
		return intro + "'.' is not allowed"
	case name == "..":
		return intro + "'..' is not allowed"
	case len(name) > maxTopicName:
		return fmt.Sprintf("%sthe length of '%s' is longer than the max allowed length %d",
			intro, name, maxTopicName)
	}
	for _, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '.' && c != '_' && c != '-' {
			return fmt.Sprintf("%s'%s' contains one or more characters other than ASCII "+
				"alphanumerics, '.', '_' and '-'", intro, name)
		}
	}
	return ""
}

// UnifyTopicName maps names that would share a metric to one: dots and underscores look alike
// there. Kafka lets only one topic of each unified name exist.
func UnifyTopicName(name string) string { return strings.ReplaceAll(name, ".", "_") }
