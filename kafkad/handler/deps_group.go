package handler

// GroupDeps is what the handlers of groups and offsets need. Its fields belong to those handlers.
type GroupDeps struct{}
