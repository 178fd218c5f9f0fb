// Epsctl runs Kubernetes' own EndpointSlice controller and nothing else of the controller manager: it makes slices of
// Pods and Services exactly as a cluster does, conditions of terminating Pods included.
package main

import (
	"context"
	"flag"
	"log"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/kubernetes/pkg/controller/endpointslice"
)

const (
	endpointsPerSlice = 100
	batchPeriod       = 50 * time.Millisecond
	workers           = 2
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "the kubeconfig file of the API server")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatalf("cannot read --kubeconfig: %v", err)
	}
	// A rollout in a test is faster than one in a cluster.
	config.QPS, config.Burst = 500, 1000
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		log.Fatalf("cannot make a client: %v", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	factory := informers.NewSharedInformerFactory(client, 0)
	core, discovery := factory.Core().V1(), factory.Discovery().V1()
	controller := endpointslice.NewController(ctx, core.Pods(), core.Services(), core.Nodes(), discovery.EndpointSlices(),
		endpointsPerSlice, client, batchPeriod)
	factory.Start(ctx.Done())
	controller.Run(ctx, workers)
}
