package systemd

import (
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// NewLogger logs to the journal when standard error is the journal ($JOURNAL_STREAM names it), and
// else as readable lines on standard error. Levels below least are dropped.
func NewLogger(least zapcore.Level) *zap.Logger {
	if is, err := journal.StderrIsJournalStream(); err == nil && is && journal.Enabled() {
		return zap.New(&journalCore{LevelEnabler: least, send: journal.Send})
	}
	return ConsoleLogger(os.Stderr, least)
}

// ConsoleLogger writes one readable line per entry: time, level, message, fields.
func ConsoleLogger(w io.Writer, least zapcore.Level) *zap.Logger {
	enc := zapcore.NewConsoleEncoder(zapcore.EncoderConfig{
		TimeKey: "t", LevelKey: "l", MessageKey: "m", NameKey: "n", ConsoleSeparator: " ",
		EncodeLevel: zapcore.CapitalLevelEncoder, EncodeDuration: zapcore.StringDurationEncoder,
		EncodeTime: func(t time.Time, e zapcore.PrimitiveArrayEncoder) {
			e.AppendString(t.Format("2006-01-02 15:04:05.000"))
		},
	})
	core := zapcore.NewCore(enc, zapcore.Lock(zapcore.AddSync(w)), least)
	return zap.New(&consoleCore{Core: core})
}

// MessageID marks an entry as an event that operators look for: `journalctl MESSAGE_ID=...`.
func MessageID(id string) zap.Field { return zap.String(messageIDField, id) }

const messageIDField = "message_id"

// journalCore turns entries into journal entries: the level becomes PRIORITY, each field a journal
// field in capitals (topic is TOPIC=). The message carries the fields too, since `journalctl`
// shows only messages by default.
type journalCore struct {
	zapcore.LevelEnabler
	fields []zapcore.Field
	send   func(message string, priority journal.Priority, vars map[string]string) error
}

func (c *journalCore) With(fields []zapcore.Field) zapcore.Core {
	all := append(append([]zapcore.Field(nil), c.fields...), fields...)
	return &journalCore{LevelEnabler: c.LevelEnabler, fields: all, send: c.send}
}

func (c *journalCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *journalCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	texts, order := fieldTexts(append(append([]zapcore.Field(nil), c.fields...), fields...))
	vars := make(map[string]string, len(texts)+1)
	message := e.Message
	for _, key := range order {
		vars[journalName(key)] = texts[key]
		if key != messageIDField {
			message += " " + key + "=" + quoteIfNeeded(texts[key])
		}
	}
	if e.LoggerName != "" {
		vars["LOGGER"] = e.LoggerName
	}
	return c.send(message, priorityOf(e.Level), vars)
}

func (c *journalCore) Sync() error { return nil }

func priorityOf(l zapcore.Level) journal.Priority {
	switch {
	case l >= zapcore.DPanicLevel:
		return journal.PriCrit
	case l >= zapcore.ErrorLevel:
		return journal.PriErr
	case l >= zapcore.WarnLevel:
		return journal.PriWarning
	case l >= zapcore.InfoLevel:
		return journal.PriInfo
	}
	return journal.PriDebug
}

// journalName is a field's name as the journal allows it: capitals, digits and underscores, not
// beginning with an underscore, at most 64 characters.
func journalName(key string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
	name = strings.TrimLeft(name, "_")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "F" + name
	}
	if len(name) > 64 {
		name = name[:64]
	}
	// PRIORITY and MESSAGE are the entry's own.
	if name == "PRIORITY" || name == "MESSAGE" {
		name = "F_" + name
	}
	return name
}

// fieldTexts renders fields; the order is the caller's, repeated names keep the last value.
func fieldTexts(fields []zapcore.Field) (texts map[string]string, order []string) {
	texts = map[string]string{}
	for _, f := range fields {
		enc := zapcore.NewMapObjectEncoder()
		f.AddTo(enc)
		keys := make([]string, 0, len(enc.Fields))
		for k := range enc.Fields {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			if _, again := texts[k]; !again {
				order = append(order, k)
			}
			texts[k] = fmt.Sprint(enc.Fields[k])
		}
	}
	return texts, order
}

func quoteIfNeeded(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\n\"=") {
		return fmt.Sprintf("%q", s)
	}
	return s
}

// consoleCore writes fields as key=value behind the message instead of as JSON.
type consoleCore struct {
	zapcore.Core
	fields []zapcore.Field
}

func (c *consoleCore) With(fields []zapcore.Field) zapcore.Core {
	all := append(append([]zapcore.Field(nil), c.fields...), fields...)
	return &consoleCore{c.Core, all}
}

func (c *consoleCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *consoleCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	texts, order := fieldTexts(append(append([]zapcore.Field(nil), c.fields...), fields...))
	for _, key := range order {
		if key != messageIDField {
			e.Message += " " + key + "=" + quoteIfNeeded(texts[key])
		}
	}
	return c.Core.Write(e, nil)
}

// WithEvents gives entries whose message is a key of byMessage that MESSAGE_ID. Packages that log
// need not know of the journal then; the daemon's main package names their messages.
func WithEvents(log *zap.Logger, byMessage map[string]string) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core {
		return &eventCore{c, byMessage}
	}))
}

type eventCore struct {
	zapcore.Core
	byMessage map[string]string
}

func (c *eventCore) With(fields []zapcore.Field) zapcore.Core {
	return &eventCore{c.Core.With(fields), c.byMessage}
}

func (c *eventCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *eventCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if id, ok := c.byMessage[e.Message]; ok {
		fields = append(fields[:len(fields):len(fields)], MessageID(id))
	}
	return c.Core.Write(e, fields)
}
