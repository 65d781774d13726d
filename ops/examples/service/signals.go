package main

import (
	"log/slog"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/cloudflare/tableflip"
)

// A signalHandler acts on signals.
type signalHandler struct {
	upgrader *tableflip.Upgrader
	log      *slog.Logger
	signals  chan os.Signal
	ending   atomic.Bool   // a signal to end has arrived
	hurry    chan struct{} // closed by the second such signal
}

// obey starts a goroutine that lives until stop. SIGHUP hands over to a new
// process. SIGTERM and Ctrl-C end the service, and a second one ends it sooner.
func obey(upgrader *tableflip.Upgrader, log *slog.Logger) *signalHandler {
	h := &signalHandler{upgrader: upgrader, log: log, signals: make(chan os.Signal, 4), hurry: make(chan struct{})}
	signal.Notify(h.signals, syscall.SIGHUP, syscall.SIGTERM, os.Interrupt)
	go h.run()
	return h
}

func (h *signalHandler) run() {
	for sig := range h.signals {
		switch {
		case sig == syscall.SIGHUP:
			go h.upgrade() // so that signals can end the service meanwhile
		case h.ending.CompareAndSwap(false, true):
			h.log.Info("ending", "signal", sig)
			h.upgrader.Stop()
		default:
			close(h.hurry)
			return
		}
	}
}

// upgrade starts the new process and waits until it is ready or has failed.
func (h *signalHandler) upgrade() {
	if err := h.upgrader.Upgrade(); err != nil {
		h.log.Error("no restart, this process goes on", "err", err)
	}
}

// replaced reports whether the upgrader's Exit means that a new process took
// over.
func (h *signalHandler) replaced() bool { return !h.ending.Load() }

func (h *signalHandler) stop() {
	signal.Stop(h.signals)
	close(h.signals)
}
