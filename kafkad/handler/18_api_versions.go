package handler

import (
	"context"
	"regexp"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/errcode"
	"zkafka/kafkad/wire"
)

// ApiVersions (18), versions 0 to 4. The response lists what this broker serves; versions the
// broker does not know are answered in wire.AppendAPIVersionsFallback. From version 3 clients name
// their software, in characters that can go into metrics and logs.

var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

func (h *Handlers) handleAPIVersions(
	_ context.Context, c *Conn, req *kmsg.ApiVersionsRequest,
) kmsg.Response {
	resp := kmsg.NewPtrApiVersionsResponse()
	if req.Version >= 3 {
		if !softwareName.MatchString(req.ClientSoftwareName) ||
			!softwareName.MatchString(req.ClientSoftwareVersion) {
			resp.ErrorCode = int16(errcode.InvalidRequest)
			return resp
		}
		c.SoftwareName, c.SoftwareVer = req.ClientSoftwareName, req.ClientSoftwareVersion
	}
	for _, a := range wire.APIs() {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MaxVersion = a.Key, a.Max
		resp.ApiKeys = append(resp.ApiKeys, k)
	}
	return resp
}
