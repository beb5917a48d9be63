// Command pause is the first process of every pod: it holds the pod's namespaces until told to stop. With -v it says
// what it is and ends, which kubeadm's CreateJob preflight check waits for.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	for _, argument := range os.Args[1:] {
		if argument == "-v" {
			fmt.Println("pause of the lab")
			return
		}
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	<-told
}
