from harness._kernels.ids cimport Ids


cdef class Tokens:
    cdef const unsigned char[::1] data
    cdef const unsigned char[::1] literals
    cdef const int[::1] bounds
    cdef public Ids values
    # the word that was read last
    cdef int kind
    cdef long long one
    cdef long long two
    cdef int seen_old
    cdef int seen_new
    cdef bint doubt  # whether a text was not plain, where that does not matter

    cdef Py_ssize_t literal(self, Py_ssize_t at, int which) except -1 nogil
    cdef Py_ssize_t number(self, Py_ssize_t at) except -1 nogil
    cdef Py_ssize_t text(self, Py_ssize_t at) except -1 nogil
    cdef Py_ssize_t any_text(self, Py_ssize_t at) except -1 nogil
    cdef Py_ssize_t blank(self, Py_ssize_t at) except -1 nogil
    cdef Py_ssize_t line_end(self, Py_ssize_t at) except -1 nogil
    cdef Py_ssize_t simple(self, Py_ssize_t at) except -1 nogil
    cdef int known(self) except -1 nogil
    cdef Py_ssize_t content(self, Py_ssize_t at) except -1 nogil
    cdef Py_ssize_t element(self, Py_ssize_t at) except -1 nogil
    cdef bint ends(self, Py_ssize_t at) except -1 nogil
    cdef Py_ssize_t other(self, Py_ssize_t at) except -1 nogil
    cdef Py_ssize_t quoted(self, Py_ssize_t at) except -1 nogil
