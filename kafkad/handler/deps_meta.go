package handler

// MetaDeps is what the handlers of topics, metadata and configurations need beyond Handlers.Store.
// Its fields belong to those handlers.
type MetaDeps struct{}
