package tests

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"cloakroom.example/cloakroom"
	"cloakroom.example/cloakroom/sessions"
	"cloakroom.example/cloakroom/tests/service"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
)

func count(w http.ResponseWriter, r *http.Request) {
	session := sessions.From(r.Context())
	session.Increment("n", 1)
	n, err := sessions.Get[int](session, "n")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Fprint(w, n)
}

func panics(w http.ResponseWriter, r *http.Request) {
	sessions.From(r.Context()).Set("n", 100)
	panic("a handler")
}

// panicsLater panics after a save that has replaced the token.
func panicsLater(w http.ResponseWriter, r *http.Request) {
	session := sessions.From(r.Context())
	session.SetSubject("ada")
	if err := session.Save(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	session.Increment("n", 100)
	panic("a handler")
}

// routers are applications with the same pages. Their set-up stands in docs/go.md.
func routers(client *cloakroom.Client) map[string]http.Handler {
	gin.SetMode(gin.ReleaseMode)
	of := sessions.New(client)
	of.Log = quiet
	return map[string]http.Handler{"chi": chiRouter(of), "gin": ginRouter(of), "echo": echoRouter(of)}
}

func chiRouter(of *sessions.Sessions) http.Handler {
	router := chi.NewRouter()
	router.Use(middleware.Recoverer, of.Middleware, middleware.Compress(5))
	router.Get("/count", count)
	router.Get("/panic", panics)
	router.Get("/login", panicsLater)
	router.Get("/return", returnsAfterAnError)
	router.Get("/error", func(w http.ResponseWriter, r *http.Request) {
		sessions.From(r.Context()).Increment("n", 1)
		http.Error(w, "teapot", http.StatusTeapot)
	})
	return router
}

func ginRouter(of *sessions.Sessions) http.Handler {
	engine := gin.New()
	engine.Use(gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, _ any) {
		sessions.From(c.Request.Context()).Discard()
		c.AbortWithStatus(http.StatusInternalServerError)
	}))
	engine.GET("/count", gin.WrapF(count))
	engine.GET("/panic", gin.WrapF(panics))
	engine.GET("/login", gin.WrapF(panicsLater))
	engine.GET("/return", gin.WrapF(returnsAfterAnError))
	engine.GET("/stream", func(c *gin.Context) {
		sessions.From(c.Request.Context()).Increment("n", 1)
		chunks := 0
		c.Stream(func(w io.Writer) bool {
			chunks++
			fmt.Fprint(w, chunks)
			return chunks < 3
		})
	})
	engine.GET("/error", func(c *gin.Context) {
		sessions.From(c.Request.Context()).Increment("n", 1)
		c.String(http.StatusTeapot, "teapot")
	})
	return of.Middleware(engine)
}

func echoRouter(of *sessions.Sessions) http.Handler {
	e := echo.New()
	e.Logger.SetOutput(io.Discard)
	e.Use(echomiddleware.RecoverWithConfig(echomiddleware.RecoverConfig{
		LogErrorFunc: func(c echo.Context, err error, _ []byte) error {
			sessions.From(c.Request().Context()).Discard()
			return err
		},
	}))
	e.GET("/return", echo.WrapHandler(http.HandlerFunc(returnsAfterAnError)))
	e.GET("/refuse", func(c echo.Context) error {
		session := sessions.From(c.Request().Context())
		session.Set("text", "x")
		if _, err := sessions.Get[int](session, "text"); err != nil {
			return echo.NewHTTPError(http.StatusUnprocessableEntity, "no number")
		}
		return nil
	})
	e.GET("/count", echo.WrapHandler(http.HandlerFunc(count)))
	e.GET("/panic", echo.WrapHandler(http.HandlerFunc(panics)))
	e.GET("/login", echo.WrapHandler(http.HandlerFunc(panicsLater)))
	e.GET("/error", func(c echo.Context) error {
		sessions.From(c.Request().Context()).Increment("n", 1)
		return echo.NewHTTPError(http.StatusTeapot, "teapot")
	})
	return of.Middleware(e)
}

// returnsAfterAnError leaves it to the middleware to answer.
func returnsAfterAnError(w http.ResponseWriter, r *http.Request) {
	session := sessions.From(r.Context())
	session.Set("text", "x")
	if _, err := sessions.Get[int](session, "text"); err != nil {
		return
	}
	fmt.Fprint(w, "no error")
}

func TestAHandlerThatJustReturnsAfterAnErrorIsA500ButForGin(t *testing.T) {
	running := service.Start(t, service.Options{})
	routers := routers(running.Client("shop"))
	// gin sends the head itself after each handler.
	for name, want := range map[string]int{"chi": 500, "echo": 500, "gin": 200} {
		if answer := service.Browse(t, routers[name]).Get("/return"); answer.Status != want {
			t.Error(name, answer)
		}
	}
	if answer := service.Browse(t, routers["echo"]).Get("/refuse"); answer.Status != http.StatusUnprocessableEntity {
		t.Error("the error page of echo", answer)
	}
}

func TestRoutersHaveSessions(t *testing.T) {
	running := service.Start(t, service.Options{})
	for name, router := range routers(running.Client("shop")) {
		t.Run(name, func(t *testing.T) {
			browser := service.Browse(t, router)
			for _, want := range []string{"1", "2"} {
				if got := browser.Get("/count").Body; got != want {
					t.Error(got)
				}
			}
			if answer := browser.Get("/panic"); answer.Status != http.StatusInternalServerError {
				t.Error("a panic", answer)
			}
			if answer := browser.Get("/error"); answer.Status != http.StatusTeapot {
				t.Error("an error page", answer)
			}
			if got := browser.Get("/count").Body; got != "4" {
				t.Error("the panic saved something, or the error page nothing:", got)
			}
			if answer := browser.Another().Get("/error"); len(answer.Header["Set-Cookie"]) != 1 {
				t.Error("the error page has no cookie", answer)
			}
			if answer := browser.Get("/missing"); answer.Status != http.StatusNotFound || len(answer.Header["Vary"]) > 1 {
				t.Error(answer)
			}
		})
	}
}

func TestTheCookieOfASaveBeforeAPanicIsSentOnceInEveryRouter(t *testing.T) {
	running := service.Start(t, service.Options{})
	for name, router := range routers(running.Client("shop")) {
		t.Run(name, func(t *testing.T) {
			browser := service.Browse(t, router)
			browser.Get("/count")

			answer := browser.Get("/login")

			if cookies := answer.Header["Set-Cookie"]; answer.Status != http.StatusInternalServerError || len(cookies) != 1 {
				t.Error(answer)
			}
			if got := browser.Get("/count").Body; got != "2" {
				t.Error("the browser has lost its session, or the panic saved something:", got)
			}
		})
	}
}

func TestAStreamOfGinArrivesWithTheCookie(t *testing.T) {
	running := service.Start(t, service.Options{})

	answer := service.Browse(t, routers(running.Client("shop"))["gin"]).Get("/stream")

	if answer.Status != http.StatusOK || answer.Body != "123" || len(answer.Header["Set-Cookie"]) != 1 {
		t.Error(answer)
	}
}

func TestAnOutageIs503InEveryRouter(t *testing.T) {
	running := service.Start(t, service.Options{})
	client := newClient(t, running.Address, 1, cloakroom.Credentials{}) // A nanosecond: no call can be answered.
	for name, router := range routers(client) {
		for _, path := range []string{"/count", "/error"} {
			if answer := service.Browse(t, router).Get(path); answer.Status != http.StatusServiceUnavailable {
				t.Error(name, path, answer)
			}
		}
	}
}
