package handler

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/errcode"
)

// The endpoint types of DescribeCluster version 1.
const (
	endpointBrokers     int8 = 1
	endpointControllers int8 = 2
)

// DescribeCluster (60), versions 0 and 1. Version 1 says whether it wants brokers or KRaft
// controllers; only the former exist here.
func (h *Handlers) handleDescribeCluster(
	_ context.Context, c *Conn, req *kmsg.DescribeClusterRequest,
) kmsg.Response {
	resp := kmsg.NewPtrDescribeClusterResponse()
	resp.EndpointType = endpointBrokers
	if req.Version >= 1 && req.EndpointType != endpointBrokers {
		code, message := errcode.UnsupportedEndpointType,
			fmt.Sprintf("Unsupported endpoint type %d", req.EndpointType)
		if req.EndpointType == endpointControllers {
			code = errcode.MismatchedEndpointType
			message = "The request was sent to an endpoint of type BROKER, but we wanted an " +
				"endpoint of type CONTROLLER"
		}
		resp.ErrorCode, resp.ErrorMessage = int16(code), &message
		resp.ControllerID = cluster.NoController
		return resp
	}
	im := h.Store.Image()
	resp.ClusterID, resp.ControllerID = im.ClusterID, im.ControllerID
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = allClusterOperations
	}
	for _, b := range endpointsOn(im, c.Listener) {
		rb := kmsg.NewDescribeClusterResponseBroker()
		rb.NodeID, rb.Host, rb.Port, rb.Rack = b.id, b.Host, b.Port, b.rack
		resp.Brokers = append(resp.Brokers, rb)
	}
	return resp
}
